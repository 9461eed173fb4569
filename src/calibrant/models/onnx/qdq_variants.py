"""Q/DQ models that differ in what calibrators chose: the graph is edited and serialized once for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx
import onnx_ir as ir

from calibrant.core.types import Encoding, Scheme
from calibrant.models.onnx.model import Model, fits_one_file, save_model, save_serialized, serialized
from calibrant.models.onnx.points import QuantPoints
from calibrant.models.onnx.qdq import parameter_tensors, qdq_model, require_encodings
from calibrant.models.onnx.shared_weights import SharedWeights, share_weights


class QdqVariants:
    """Saves what :func:`qdq_to_deploy` makes of one model and plan, for several encodings, byte for byte.

    Large weights (shared_weights.py) lie in one file beside the models. All encodings have the scheme's
    spec. Where biases are integers too the weights depend on the encodings, and a model beyond what protobuf
    holds is no value that can be kept: there each is made anew.
    """

    def __init__(self, model: Model, plan: QuantPoints, scheme: Scheme) -> None:
        self._model, self._plan, self._scheme = model, plan, scheme
        self._template: _Template | None = None

    def saver(self, encodings: Mapping[str, Encoding]) -> Callable[[Path], Path | None]:
        """What writes the model with these encodings to a file, and gives the file of its large weights.

        The model is made now: raises SettingsError and NumericsError as with_qdq.
        """
        if self._template is None:
            float_weights = not self._scheme.stores_integers
            made = qdq_model(self._model, self._plan, encodings, self._scheme, float_weights=float_weights)
            shared = share_weights(made.ir)
            if shared is None and (self._scheme.quantizes_biases or not fits_one_file(made.ir)):
                return partial(_save_with, None, partial(save_model, made.ir))
            proto = ir.serde.serialize_model(made.ir) if shared else serialized(made.ir)
            if self._scheme.quantizes_biases:
                return partial(_save_with, shared, partial(save_serialized, proto.SerializeToString()))
            self._template = _Template(proto, made.parameters, shared)
        require_encodings(self._plan, encodings)
        chosen = [encodings[point.encoded_as] for point in self._plan.activations]
        content = self._template.with_encodings(chosen)
        return partial(_save_with, self._template.shared, partial(save_serialized, content))


@dataclass(frozen=True)
class _Template:
    """A serialized model, and for each activation the initializers of its scale and zero point."""

    proto: onnx.ModelProto
    parameters: tuple[tuple[str, str], ...]
    shared: SharedWeights | None

    def with_encodings(self, encodings: Sequence[Encoding]) -> bytes:
        """The model with these encodings, one for each activation: the last ones are still in it."""
        initializers = {tensor.name: tensor for tensor in self.proto.graph.initializer}
        for names, encoding in zip(self.parameters, encodings, strict=True):
            for name, tensor in zip(names, parameter_tensors(encoding), strict=True):
                initializers[name].raw_data = tensor.tobytes()
        content: bytes = self.proto.SerializeToString()
        return content


def _save_with(shared: SharedWeights | None, save: Callable[[Path], None], path: Path) -> Path | None:
    if shared is None:
        save(path)
        return None
    shared.write(path.parent)
    save(path)
    return path.with_name(shared.name)
