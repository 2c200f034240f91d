"""The named characters of HTML, as `html.unescape` of Python knows them: llm-infer/src/chat/entities.txt.

    python tests/differential/entities.py > llm-infer/src/chat/entities.txt
"""

import html.entities

for name, text in sorted(html.entities.html5.items()):
    print(name, *(f"{ord(character):x}" for character in text))
