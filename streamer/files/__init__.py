"""Files on disk: opened safely, replaced whole, forced to disk, and records that carry a checksum."""
