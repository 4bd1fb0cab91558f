"""What a file says, as errors quote it: its beginning, however much there is."""

LONGEST = 400
"""Characters of a message of another library's that an error of ours passes on."""


def brief(said: object, most: int = LONGEST) -> str:
    """A text, or `str` of what is none, cut to so many characters; " ..." says so."""
    text = str(said)
    return text if len(text) <= most else f"{text[:most]} ..."
