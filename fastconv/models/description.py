"""Description: the methods by which a model becomes a table, a picture, a config or a file.

summary.py, drawing/, configs.py and modelfile.py do the work. Contract: none of these methods changes the model, but
`load_weights`, which takes all of a file or nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastconv import modelfile, registry
from fastconv.models import configs
from fastconv.models.summary import html, summary

if TYPE_CHECKING:
    from fastconv.models.model import Model


class Description:
    """Base class of Model: summary, pictures, configs and files."""

    def summary(
        self, line_length: int | None = None, positions: Sequence[float] | None = None,
        print_fn: Callable[[str], Any] | None = None, expand_nested: bool = False, show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        """Prints a table of layers, output shapes, parameter counts and, where layers branch, what each is connected to.

        `print_fn` takes the text, default print; `expand_nested` shows the layers of inner models, `show_trainable` a
        column; `layer_range` is a pair of layer names (or patterns) to start and end with.
        """
        text = summary(self, line_length, positions, expand_nested, show_trainable, layer_range)
        (print_fn or print)(text)

    def to_svg(
        self, show_shapes: bool = True, show_dtype: bool = False, show_layer_names: bool = True, rankdir: str = "TB",
        expand_nested: bool = False, show_layer_activations: bool = False, show_trainable: bool = False,
    ) -> str:  # fmt: skip
        """The text of an SVG picture of the graph: a box for each call of a layer, a line for each tensor, outputs with a
        thick border; light or dark as the reader's system is.

        Arguments as in `utils.plot_model`, which writes files. ValueError for a model that is not built or has no graph.
        """
        from fastconv.drawing import Drawing, Show

        show = Show(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable, expand_nested)
        return Drawing(self, show, rankdir).svg

    def _repr_html_(self) -> str:
        return html(self)

    def get_config(self) -> dict[str, Any]:
        if self._graph is None:
            raise NotImplementedError(
                f"{type(self).__name__} must define get_config(self) to be saved, since its call is written in Python: "
                "return its constructor's arguments."
            )
        return configs.graph_config(self)

    @classmethod
    def from_config(cls, config: dict, custom_objects: Mapping[str, Any] | None = None) -> Model:
        """The model that get_config described, with fresh weights; `custom_objects` maps names to own layers."""
        if "input_layers" not in config:
            return cls(**config)
        return configs.graph_from_config(cls, config, custom_objects)

    def to_json(self, **kwargs: Any) -> str:
        """The architecture without weights, as JSON; `fastconv.models.model_from_json` reads it. Further arguments are
        json.dumps', such as `indent=2`."""
        return json.dumps(registry.serialize(self), **kwargs)

    def save(self, filepath: modelfile.Path, overwrite: bool = True, zipped: bool | None = None) -> None:
        """Writes architecture, weights and compile settings to one safetensors file; see fastconv.saving.

        >>> model = fastconv.Sequential([layers.Input((4,)), layers.Dense(1)])
        >>> model.save("model.safetensors")
        >>> fastconv.models.load_model("model.safetensors").output_shape
        (None, 1)

        `overwrite=False` raises FileExistsError where there is a file; `zipped` changes nothing."""
        modelfile.save_model(self, filepath, overwrite)

    def save_weights(
        self, filepath: modelfile.Path, overwrite: bool = True, max_shard_size: float | None = None
    ) -> None:
        """Writes the weights alone to one safetensors file; `max_shard_size` is refused."""
        modelfile.save_weights(self, filepath, overwrite, max_shard_size)

    def export(
        self, filepath: Any, format: str = "tf_saved_model", verbose: Any = None, input_signature: Any = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        """Not for fastconv, which writes no other framework's formats: raises NotImplementedError."""
        raise NotImplementedError(f"export: fastconv writes no {format!r}. Keep the model with model.save(filepath).")

    def load_weights(
        self, filepath: modelfile.Path, skip_mismatch: bool = False,
        name_map: Mapping[str, Any] | Callable[[str], Any] | None = None,
    ) -> None:  # fmt: skip
        """Takes the weights of a file by name; on any mismatch raises ValueError and changes nothing.

        Files: of `save` and `save_weights`; Keras' `.keras` and `.weights.h5`, and Keras 2's `.h5`; PyTorch's state dicts
        (`.pt`, `.pth`, or in safetensors), whose kernels are turned, also those behind a Flatten; other safetensors files.
        `skip_mismatch=True` takes those that fit, leaves the others as they are, and warns which. `name_map` says for a
        foreign file's names, or those of its modules, which weight ("conv2d/kernel") or layer ("conv2d") they are: a dict,
        or a function; None leaves an array out. Without it names, order and shapes tell, or an error shows both lists."""
        modelfile.load_weights(self, filepath, skip_mismatch, name_map)
