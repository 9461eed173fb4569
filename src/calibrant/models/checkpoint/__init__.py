"""Checkpoints of language models: a folder of safetensors, read and run block by block.

Importing this package, ``tensors``, ``folder`` and ``layers`` needs numpy only; torch and transformers (extra
``llm``) are imported in ``architecture``, ``modules``, ``streaming``, ``logits`` and ``rendering``.
"""

from calibrant.core.silence import silence

silence()  # before transformers is imported
