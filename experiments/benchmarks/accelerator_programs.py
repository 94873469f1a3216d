"""The real programs of metaser_jax on shapes alone, lowered for a mesh of devices that need not be here."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from metaser_jax.adaptation.engine import PAD, Run, make_program
from metaser_jax.models.classifier import make_network
from metaser_jax.recogniser.predictor import make_forward
from metaser_jax.specs import FinetuneSpec, MetaTrainSpec, ModelSpec
from metaser_jax.specs.presets import FINETUNE, META_TRAIN
from metaser_jax.training import parallel
from metaser_jax.training.loops.finetuning import Rows
from metaser_jax.training.meta_program import make_functions, numbers_of, stack
from metaser_jax.training.sampling.bank import Bank
from metaser_jax.training.trainer import make_trainer, no_utterances

FRAMES = 120
# Of two sources: utterances of a part, and the most of a class and source.
UTTERANCES, SLOTS = 1536, 256
# Of an adaptation: runs at once, and utterances of its corpus.
RUNS, CORPUS = 16, 512
# Windows that `predict` gives to a call.
WINDOWS = 64


class Program(NamedTuple):
    """Attributes: function, jitted or to be; arguments, shapes with their places on a mesh."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def placed(tree: Any, mesh: Mesh) -> Any:
    """Shapes of arrays, or arrays, as shapes on every device of the mesh."""
    everywhere = parallel.everywhere(mesh)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere), tree)


def _shape(*shape: int, dtype: str = "float32") -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


def _bank(spec: MetaTrainSpec) -> Bank:
    classes = len(spec.emotions)
    return Bank(
        _shape(UTTERANCES, FRAMES, spec.coefs),
        _shape(2, classes, SLOTS, dtype="int32"),
        _shape(2, classes, dtype="int32"),
    )


def meta_training(mesh: Mesh, tasks: int, **changes: Any) -> dict[str, Program]:
    """An interval of episodes and the validation: the paper's network with 5 shots, and changes to the specification.

    Args:
      mesh: of the devices.
      tasks: of each.
      changes: to the preset `paper`.
    """
    paper = META_TRAIN["paper"] | {"sources": ("ravdess", "emodb"), "shots": 5}
    spec = MetaTrainSpec(**paper | {"tasks_per_episode": tasks * mesh.size} | changes)
    state = make_trainer(spec, no_utterances(spec)).state
    interval, validate = make_functions(spec, {"shots": spec.shots, "queries": spec.queries}, mesh)
    runs = (stack([state], mesh), np.zeros(1, np.int32), stack([numbers_of(spec)], mesh))
    (states, steps, numbers), bank = placed((runs, _bank(spec)), mesh)
    return {
        "interval": Program(interval, ((states, steps, numbers), bank)),
        "validation": Program(validate, ((states.meta_params, numbers), bank, bank)),
    }


def finetuning(mesh: Mesh, **changes: Any) -> Program:
    """The preset `paper` of fine-tuning, its runs divided over the mesh."""
    spec = FinetuneSpec(**FINETUNE["paper"] | changes)
    plan = parallel.Plan(mesh.size, RUNS, RUNS, parallel.CHUNK_ELSEWHERE)
    run = Run(_params(spec), None, _shape(dtype="uint32"), *(_rows(n) for n in (4 * PAD, PAD, 2 * PAD)))
    over = NamedSharding(mesh, PartitionSpec((parallel.RUNS, parallel.TASKS)))
    runs = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((mesh.size * RUNS, *leaf.shape), leaf.dtype, sharding=over), run
    )
    data = placed((_shape(CORPUS, FRAMES, spec.coefs), _shape(CORPUS, dtype="int32")), mesh)
    return Program(make_program(spec, plan, mesh=mesh), (runs, *data))


def prediction(mesh: Mesh, **changes: Any) -> Program:
    """The recogniser's function of a call, on every device of the mesh the same."""
    network = {name: FINETUNE["paper"][name] for name in ("hidden_dim", "pooling", "activation")}
    settings = ModelSpec(**network | changes)
    arguments = (_params(settings), None, _shape(WINDOWS, FRAMES, 20), _shape(WINDOWS, dtype="int32"))
    return Program(jax.jit(make_forward(settings)), placed(arguments, mesh))


def _params(settings: ModelSpec) -> Any:
    x = no_utterances(settings)
    return jax.eval_shape(lambda key: make_network(settings).init(key, x), jax.random.key(0))


def _rows(n: int) -> Rows:
    return Rows(_shape(n, dtype="int32"), _shape(dtype="int32"))


def program_of(mesh: Mesh, name: str, **changes: Any) -> Program:
    """One of the programs by its name: interval, validation, fine-tuning or prediction."""
    if name in ("interval", "validation"):
        return meta_training(mesh, **changes)[name]
    return {"fine-tuning": finetuning, "prediction": prediction}[name](mesh, **changes)
