"""What the process that runs scripts says to the one that started it.

A message is its length in four bytes, then JSON ``[language, source, input, now in ms, seed]``. An answer is its length, one letter,
and a text: a value's JSON, or what went wrong.
"""

LENGTH_BYTES = 4

READY = b"R"
VALUE = b"V"
ERROR = b"E"
WORN = b"W"  # an error, and the process ends
