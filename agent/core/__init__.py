"""The core decides. Standard library only: no clock, no random, no logging, no async, no I/O.

`step(migration, message, policy)` in decide.py is the one way in; everything else here is what it
decides upon.
"""
