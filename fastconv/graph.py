"""Graph: what a user drew, from input tensors to output tensors; nodes are calls of layers and of ops.

It is immutable: editing a model makes a new one. Summary, files, sub-models and pictures walk it; what runs is
program.py's. Contract: every output is reached from the inputs, and from nothing else; the nodes stand in the order in
which they were drawn, the layers in Keras' order.
"""

from __future__ import annotations

from fastconv.nest import flatten, map_leaves, pack
from fastconv.symbolic import Call, KerasTensor, next_order


class Node:
    """One call of a layer: its arguments, a nest in which KerasTensors stand for values, and its outputs."""

    __slots__ = ("layer", "args", "kwargs", "outputs", "order")

    def __init__(self, layer, args, kwargs, outputs):
        self.layer, self.args, self.kwargs, self.outputs = layer, args, kwargs, outputs
        self.order = next_order()
        for place, tensor in enumerate(flatten(outputs)):
            tensor.source, tensor.place = self, place

    @property
    def inputs(self) -> list[KerasTensor]:
        """The tensors among the arguments."""
        return symbolic_leaves((self.args, self.kwargs))


def symbolic_leaves(structure) -> list[KerasTensor]:
    """The KerasTensors in a nest."""
    return [leaf for leaf in flatten(structure) if isinstance(leaf, KerasTensor)]


def sources(node) -> list[KerasTensor]:
    """The tensors that a Node or a Call reads."""
    return symbolic_leaves(node.inputs)


def _by_key(structure) -> list:
    """The leaves of a nest, of dicts in the order of their sorted keys: Keras' order."""
    if isinstance(structure, dict):
        structure = [structure[key] for key in sorted(structure)]
    if isinstance(structure, (list, tuple)):
        return [leaf for part in structure for leaf in _by_key(part)]
    return [structure]


class Graph:
    """The nodes between `inputs` and `outputs`, nests of KerasTensors.

    `nodes` are Nodes and Calls of ops, `layers` the layers that they call, each once. Raises TypeError for what is no
    KerasTensor, ValueError where an output is not reached from the inputs, an input is given twice, or two layers have
    one name.
    """

    def __init__(self, inputs, outputs, name="model"):
        self.inputs, self.outputs, self.name = inputs, outputs, name
        for role, tensor in [("inputs", t) for t in flatten(inputs)] + [("outputs", t) for t in flatten(outputs)]:
            if not isinstance(tensor, KerasTensor):
                raise TypeError(
                    f"Model {name!r}: {role} must be tensors that fastconv.Input and layers called on it gave; got "
                    f"{type(tensor).__name__}."
                )
        starts = {id(tensor) for tensor in flatten(inputs)}
        if len(starts) < len(flatten(inputs)):
            raise ValueError(f"Model {name!r}: an input is given twice.")
        self.nodes = self._walk(starts)
        self.layers = self._layers()
        names = [layer.name for layer in self.layers]
        if len(set(names)) < len(names):
            double = next(one for one in names if names.count(one) > 1)
            raise ValueError(
                f"Model {name!r}: two of its layers are named {double!r}, so no file and no get_layer could tell them "
                "apart. Give one of them another name=."
            )

    def _walk(self, starts):
        """The nodes that lead from the inputs to the outputs, in the order in which they were drawn."""
        found, stack = {}, flatten(self.outputs)
        seen = set()
        while stack:
            tensor = stack.pop()
            if id(tensor) in starts:
                seen.add(id(tensor))
                continue
            node = tensor.source
            if node is None or (isinstance(node, Node) and not node.inputs):
                raise ValueError(
                    f"Model {self.name!r}: the outputs depend on {tensor!r}, which is not among the inputs. Add it: "
                    "Model(inputs=[...], outputs=...)."
                )
            if id(node) not in found:
                found[id(node)] = node
                stack += sources(node)
        unused = [tensor for tensor in flatten(self.inputs) if id(tensor) not in seen]
        if unused:
            raise ValueError(f"Model {self.name!r}: no output depends on the input {unused[0]!r}. Leave it out.")
        return sorted(found.values(), key=lambda node: node.order)

    def _layers(self):
        """Each layer once, by its greatest distance to an output, then in the order in which a walk from the outputs
        meets it: Keras' order, which get_weights follows."""
        origins = [t.source.layer for t in _by_key(self.inputs) if isinstance(t.source, Node)]
        starts = {id(tensor) for tensor in flatten(self.inputs)}
        inner = {id(node) for node in self.nodes}
        met, done, deep, depth = {}, {}, {}, {}
        stack = [(t.source, False) for t in reversed(_by_key(self.outputs)) if id(t.source) in inner]
        while stack:  # calls behind those that they read
            node, read = stack.pop()
            if read:
                done[id(node)] = node
            elif id(node) not in deep:
                deep[id(node)] = 0
                met.setdefault(id(_owner(node)), len(met))
                stack.append((node, True))
                stack += [(t.source, False) for t in reversed(sources(node)) if id(t) not in starts]
        for node in reversed(done.values()):
            owner = id(_owner(node))
            depth[owner] = max(deep[id(node)], depth.get(owner, 0))
            for tensor in sources(node):
                if id(tensor) not in starts:
                    deep[id(tensor.source)] = max(deep[id(tensor.source)], depth[owner] + 1)
        unique = {id(node.layer): node.layer for node in self.nodes if isinstance(node, Node)}
        ordered = sorted(unique, key=lambda key: (-depth[key], met[key]))
        return [*dict.fromkeys(origins), *[unique[key] for key in ordered]]

    def run(self, inputs, call=lambda layer, args, kwargs: layer(*args, **kwargs)):
        """The outputs for a nest of values in the inputs' structure; `call` calls a layer."""
        values = {id(tensor): value for tensor, value in zip(flatten(self.inputs), flatten(inputs))}
        for node in self.nodes:
            if isinstance(node, Call):
                arguments = [values.get(id(a), a) if isinstance(a, KerasTensor) else a for a in node.inputs]
                values[id(node.output)] = node.op.apply(*arguments, **node.attributes)
            else:
                args, kwargs = _filled(node.args, values), _filled(node.kwargs, values)
                results = flatten(call(node.layer, args, kwargs))
                values.update(zip(map(id, flatten(node.outputs)), results))
        return pack(self.outputs, [values[id(tensor)] for tensor in flatten(self.outputs)])

    def __reduce__(self):
        """Without recursion from tensor to node to tensor, which deep graphs would not survive."""
        numbers, tensors = {}, []

        def number(leaf):
            if not isinstance(leaf, KerasTensor):
                return leaf
            if id(leaf) not in numbers:
                numbers[id(leaf)] = _Number(len(tensors))
                tensors.append((leaf.shape, leaf.dtype, leaf.name))
            return numbers[id(leaf)]

        inputs = map_leaves(number, self.inputs)
        origins = [t.source.layer if isinstance(t.source, Node) else None for t in flatten(self.inputs)]
        nodes = []
        for node in self.nodes:
            if isinstance(node, Call):
                nodes.append((node.op, [number(leaf) for leaf in node.inputs], node.attributes, number(node.output)))
            else:
                nodes.append((node.layer, map_leaves(number, node.args), map_leaves(number, node.kwargs),
                              map_leaves(number, node.outputs)))  # fmt: skip
        return _rebuilt, (self.name, tensors, inputs, origins, nodes, map_leaves(number, self.outputs))


class _Number(int):
    """A tensor of a graph that is being copied."""


def _rebuilt(name, tensors, inputs, origins, nodes, outputs):
    tensors = [KerasTensor(shape, dtype, name=known) for shape, dtype, known in tensors]

    def tensor(leaf):
        return tensors[leaf] if isinstance(leaf, _Number) else leaf

    for origin, leaf in zip(origins, flatten(inputs)):
        if origin is not None:
            origin.note_call(Node(origin, (), {}, tensor(leaf)))
    for called, args, kwargs, results in nodes:
        if isinstance(called, type):
            Call(called, tuple(map(tensor, args)), kwargs, tensor(results))
        else:
            node = Node(called, map_leaves(tensor, args), map_leaves(tensor, kwargs), map_leaves(tensor, results))
            called.note_call(node)
    return Graph(map_leaves(tensor, inputs), map_leaves(tensor, outputs), name)


def _owner(node):
    return node.layer if isinstance(node, Node) else node


def _filled(structure, values):
    leaves = [values[id(leaf)] if isinstance(leaf, KerasTensor) else leaf for leaf in flatten(structure)]
    return pack(structure, leaves)
