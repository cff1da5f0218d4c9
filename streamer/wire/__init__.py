"""Bytes on the wire: the only room that knows an offset. The contract is docs/protocol.md."""
