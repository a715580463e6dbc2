"""The HTTP application: OpenAI's API, an API of its own, and what every request goes through."""
