"""Seeded schedules of losses, delays and deaths against the real cores on a fake clock.

`python -m pytest tests/faults/test_schedules.py --dose release --fault-seed N`, or `python tests/faults/schedules.py`.
"""
