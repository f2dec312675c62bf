"""Where languages and modalities meet inside a speech-text foundation model."""

__version__ = "0.1.0"
