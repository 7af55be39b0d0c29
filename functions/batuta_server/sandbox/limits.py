"""What a script may use. Beyond that it is refused, and its process ended."""

TIME_S = 4  # Conductor's CONDUCTOR_SCRIPT_MAX_EXECUTION_SECONDS
HEAP_MAX_BYTES = 128 * 1024 * 1024  # of a script in JavaScript; Conductor sets none, and dies
# Of address space, the interpreter's 60 MB included: what bounds jq. With the function's own 60 MB, and what a value of 5 MB may take
# there as objects, it stays under the 512 MB of the function.
PROCESS_MAX_BYTES = 256 * 1024 * 1024
STACK_MAX_BYTES = 2 * 1024 * 1024  # of JavaScript's, on the main thread's 8
OUTPUT_MAX_BYTES = 5 * 1024 * 1024  # as any payload (model.payload.PAYLOAD_MAX_BYTES); Lambda answers with 6 MB at most
# Of a value in the memory of whoever asked for it, as Python's objects: a decider has 256 MB in all, and 5 MB of empty lists would
# take 140. Five megabytes of rows with four fields take 40.
VALUE_MAX_BYTES = 64 * 1024 * 1024
ERROR_MAX_CHARS = 2000
DEPTH_MAX = 200  # of nested lists and maps in a value, as in any payload

# The process ends itself, should whoever started it be no more.
OWN_END_S = TIME_S + 2
