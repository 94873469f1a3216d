"""The model card: README.md of a model folder, as Hugging Face reads it."""

from metaser_jax.adapted.model import Model

LIMITS = ()


def model_card(model: Model, digest: str) -> str:
    """Markdown with YAML front matter."""
    return f"# {model.about.get('name', 'A model')}\n\nDigest {digest}.\n"
