"""Error messages, read as one text: each begins with what is wrong, and says what was wanted."""

import re

from tests.messages import messages

MADE_ELSEWHERE = re.compile(r"\{(_foreign\(.*\)|str\(error\).*)\}$")
"""Messages that a function makes, or that another message becomes."""
BEGINNING = re.compile(r"\{.+\}(\.\{.+\}|\[.+\])?(: |, wanted)|[\w.,\- /]+(\[\{.+\}\]|\{.+\})?(, row \{.+\})?: ")
"""The name of an argument, an option, a file or a quantity, and a colon."""


def test_every_message_begins_with_a_name_and_says_what_was_wanted():
    told = [each for each in messages() if not MADE_ELSEWHERE.match(each[1])]
    assert len(told) > 400
    assert [each for each in told if "wanted" not in each[1] or not BEGINNING.match(each[1])] == []
