"""What the study itself found, for each of its models, claim by claim."""

SAID: dict[str, dict[str, str]] = {
    "rises": {"seamless": "yes", "sonar": "yes", "salmonn": "yes"},
    "dips": {"seamless": "yes", "sonar": "yes", "salmonn": "yes"},
    "flattens": {"salmonn": "yes"},
    "drops": {"salmonn": "yes"},
    "adaptor": {"seamless": "yes", "sonar": "yes", "salmonn": "yes"},
    "adaptor high": {"seamless": "yes", "salmonn": "yes"},
    "adaptor medium": {"seamless": "yes", "salmonn": "yes"},
    "adaptor low": {"seamless": "no", "salmonn": "no"},
    "adaptor high over low": {"seamless": "yes", "salmonn": "yes"},
    "resource": {"seamless": "yes", "sonar": "yes", "salmonn": "yes"},
    "text above speech": {"seamless": "yes", "sonar": "yes", "salmonn": "yes"},
    "text above speech first": {"seamless": "yes", "sonar": "yes", "salmonn": "no"},
    "text drops first": {"salmonn": "yes"},
    "gap by the rule": {"seamless": "yes", "sonar": "no", "salmonn": "yes"},
    "gap closest": {"seamless": "yes", "sonar": "no", "salmonn": "yes"},
    "tokens": {"salmonn": "yes"},
    "text first": {"seamless": "yes", "sonar": "yes"},
    "speech by language": {"seamless": "yes", "sonar": "yes"},
    "speech by family": {"seamless": "yes", "sonar": "yes"},
    "text by meaning": {"seamless": "yes", "sonar": "yes"},
}
"""Claim -> model family -> whether the study says that it holds; absent where it says nothing.

From its section 3, which shows curves and ranges without tests. "No" for the adaptor in
low-resource languages is a flat slope there, not a fall; "no" for the gaps of SONAR is own speech
above all partners for most languages. What it reads off Figure 4 is said of Seamless and SONAR.
"""


def said(name: str, family: str) -> str:
    """What the study says of a claim for a family of models: yes, no, or nothing."""
    return SAID.get(name, {}).get(family, "")
