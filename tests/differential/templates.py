"""Random chat templates with random conversations, and what jinja2 makes of them under transformers' settings.

    python tests/differential/templates.py --seed 1 --count 3000 cases.json
    python tests/differential/templates.py --seed 1 --count 3000 --templates FOLDER cases.json   # of real templates

The test `random_templates_render_as_jinja2_does` of llm-infer compares our engine with the file that LLM_TEMPLATE_CASES names.
Needs transformers; the file that is committed is `--seed 1 --count 300 --each 1 --terse`, by transformers 5.23 and jinja2 3.1.6.
"""

import argparse
import datetime
import json
import random
import signal
from pathlib import Path

import transformers.utils.chat_template_utils as chat_template_utils

from template_grammar import PRODUCTIONS, Grammar, conversation, variables

NOW = datetime.datetime(2024, 7, 26, 12, 0, 0)


class Clock(datetime.datetime):
    """The clock that `strftime_now` reads."""

    @classmethod
    def now(cls, tz=None):
        return NOW


def render(source, inputs):
    """The text, or the error."""
    try:
        signal.setitimer(signal.ITIMER_REAL, 2)
        compiled = chat_template_utils._compile_jinja_template(source)
        return {"ok": compiled.render(**inputs)}
    except Exception as error:  # noqa: BLE001: whatever a template does wrong
        return {"error": f"{type(error).__name__}: {error}"[:200]}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def expired(*_):
    raise TimeoutError("too slow")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--each", type=int, default=0, metavar="N", help="every production of the grammar alone, N times, beside these")
    parser.add_argument("--templates", type=Path, help="a folder of templates to use instead of random ones")
    parser.add_argument("--terse", action="store_true", help="small templates and inputs")
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    chat_template_utils.datetime = Clock
    signal.signal(signal.SIGALRM, expired)
    rng = random.Random(options.seed)
    real = sorted(options.templates.glob("*.jinja")) if options.templates else []
    cases = []
    for production in [production for kind in PRODUCTIONS.values() for production in kind] * options.each:
        # One that fails says less than one that does not.
        for _ in range(20):
            source = "{{ " + Grammar(rng, True).filled(production, 1) + " }}"
            inputs = json.loads(json.dumps({**conversation(rng, True), **variables(rng)})) | {"bos_token": "<s>", "eos_token": "</s>"}
            inputs = {name: value for name, value in inputs.items() if name in source or name in ("messages", "add_generation_prompt")}
            result = render(source, inputs)
            if "ok" in result:
                break
        if " at 0x" not in result.get("ok", "").lower():
            cases.append({"template": source, "inputs": inputs, **result})
    alone = len(cases)
    while len(cases) - alone < options.count:
        source = rng.choice(real).read_text() if real else Grammar(rng, options.terse).template()
        inputs = conversation(rng, options.terse) if real else {**conversation(rng, options.terse), **variables(rng)}
        inputs = json.loads(json.dumps(inputs))
        inputs |= {"bos_token": "<s>", "eos_token": "</s>"}
        result = render(source, inputs)
        # Errors are half of what random templates give: a tenth of these is enough.
        # The addresses of objects differ from run to run.
        addressed = " at 0x" in result.get("ok", "").lower()
        if "error" in result and not real and rng.random() < 0.9 or addressed or len(result.get("ok", "")) > 20_000:
            continue
        cases.append({"template": source, "inputs": inputs, **result})
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    options.output.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{len(cases)} cases, {sum('error' in case for case in cases)} of them errors")


if __name__ == "__main__":
    main()
