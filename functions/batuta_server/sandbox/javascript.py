"""One script in JavaScript, in a context of QuickJS that nobody has used before and nobody will use again.

It sees ``$`` and the language; no console, no modules, no timers, no clock but the one that it is given. Whatever it does to
built-in objects ends with its context.
"""

from __future__ import annotations

import hashlib
import re

import _quickjs  # not the package around it, which starts a thread when it is imported

from batuta_server.sandbox.failure import ScriptFailed
from batuta_server.sandbox.limits import DEPTH_MAX, HEAP_MAX_BYTES, STACK_MAX_BYTES

# What is not the same at every run is put in order: the clock stands, chance comes from the seed (sfc32), collection of garbage
# cannot be seen. ``run`` takes what it needs before the script can change it. A value becomes JSON as in Conductor: what JSON lacks
# is null, a number out of its range is the text that Java prints, dates, maps and functions are what members they have.
_HARNESS = """
(function (now, a, b, c, d) {
  const OldDate = Date, construct = Reflect.construct;
  const FixedDate = new Proxy(OldDate, {
    construct: (target, given, made) => construct(target, given.length ? given : [now], made),
    apply: () => new OldDate(now).toString(),
  });
  OldDate.now = () => now;
  OldDate.prototype.constructor = FixedDate;
  globalThis.Date = FixedDate;
  Math.random = () => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return (t >>> 0) / 4294967296;
  };
  for (const name of ["performance", "WeakRef", "FinalizationRegistry", "Atomics", "SharedArrayBuffer"]) delete globalThis[name];

  const evaluate = eval, quoted = JSON.stringify, isArray = Array.isArray, keysOf = Object.keys, isFinite_ = Number.isFinite;
  const join = Array.prototype.join, apply = Reflect.apply, joined = parts => apply(join, parts, [","]);
  const String_ = String, Error_ = Error, min = -(2n ** 63n), max = 2n ** 63n - 1n;
  function json(value, depth) {
    switch (typeof value) {
      case "string": return quoted(value);
      case "boolean": return value ? "true" : "false";
      case "number": return isFinite_(value) ? String_(value) : quoted(String_(value));
      case "bigint": return value >= min && value <= max ? String_(value) : quoted(String_(value));
      case "symbol": return quoted(String_(value));
      case "undefined": return "null";
    }
    if (value === null) return "null";
    if (depth === DEPTH_MAX) throw new Error_("the value is nested deeper than DEPTH_MAX levels, or in itself");
    const parts = [];
    if (isArray(value)) {
      for (let i = 0; i < value.length; i++) parts[i] = json(value[i], depth + 1);
      return "[" + joined(parts) + "]";
    }
    const keys = keysOf(value);
    for (let i = 0; i < keys.length; i++) parts[i] = quoted(keys[i]) + ":" + json(value[keys[i]], depth + 1);
    return "{" + joined(parts) + "}";
  }
  let value;
  // Joined once more: the binding cannot read a text that is still in pieces.
  return source => source === undefined ? joined([json(value, 0)]) : void (value = evaluate(source));
})
""".replace("DEPTH_MAX", str(DEPTH_MAX))

# Of an error that a script makes itself Conductor names no line.
_OWN_ERRORS = ("TypeError", "SyntaxError", "ReferenceError", "RangeError", "URIError", "EvalError", "InternalError")
_PLACE = re.compile(r"^    at .*?<input>:(\d+):\d+\)?$", re.MULTILINE)
_NO_MEMORY = "InternalError: out of memory"
_NOTHING = "null"  # what is thrown when there is no memory for an error, either


def run(source: str, given: str, now_ms: int, seed: str) -> str:
    """The JSON of the last expression's value. ``given`` is JSON. Raises ScriptFailed."""
    try:
        source.encode()
    except UnicodeEncodeError:  # the binding's own words name an address in memory
        raise ScriptFailed("Error evaluating the script `it holds half a character (a lone surrogate)`") from None
    context = _quickjs.Context()
    context.set_memory_limit(HEAP_MAX_BYTES)
    context.set_max_stack_size(STACK_MAX_BYTES)
    try:
        context.set("$", context.parse_json(given))
        return _run(context, source, now_ms, seed)
    except _quickjs.JSException as error:  # a StackOverflow is one
        raise _failed(str(error)) from None
    except MemoryError:
        raise ScriptFailed(f"Error evaluating the script `{_NO_MEMORY}`", is_worn=True) from None


def _run(context: _quickjs.Context, source: str, now_ms: int, seed: str) -> str:
    digest = hashlib.sha256(seed.encode()).digest()
    numbers = [int.from_bytes(digest[at : at + 4], "big", signed=True) for at in range(0, 16, 4)]
    script = context.eval(_HARNESS)(float(now_ms), *numbers)  # an int would be cut to 32 bits
    script(source)
    while context.execute_pending_job():  # what promises left to do
        pass
    found: str = script()
    return found


def _failed(text: str) -> ScriptFailed:
    """QuickJS gives the message, then the stack, a line each."""
    message = text.partition("\n    at ")[0].removesuffix("\n").removesuffix("\nundefined").removesuffix("\nnull")
    message = message.replace("TypeError: cannot read property ", "TypeError: Cannot read property ", 1)
    if message in (_NO_MEMORY, _NOTHING):
        return ScriptFailed(f"Error evaluating the script `{_NO_MEMORY}`", is_worn=True)
    place = _PLACE.search(text)
    if place is None or not message.startswith(_OWN_ERRORS):
        return ScriptFailed(f"Error evaluating the script `{message}`")
    return ScriptFailed(f"Error evaluating the script `{message}` at line {place[1]}")
