"""PyTorch's meta-step: FOMAML, exact second order by torch.func, and by the libraries higher and TorchOpt."""

import contextlib
import copy
import importlib.util
import warnings
from collections.abc import Callable

import numpy as np
import torch
from memory import peak_growth
from problem import CLASSES, COEFFICIENTS, INNER_LR, Problem, Weights
from race import Variant, timed
from torch import nn
from torch.nn.functional import cross_entropy

# Said once per process by torch.backends.mkldnn.flags; nothing here asks for TF32.
warnings.filterwarnings("ignore", message="TF32 acceleration on top of oneDNN")

# torch's name -> ours, and whether it is transposed.
_NAMES = {
    **{
        f"lstm.{theirs}_l{layer}": (f"lstm_{layer + 1}", ours)
        for layer in (0, 1)
        for theirs, ours in (("weight_ih", "kernel_input"), ("weight_hh", "kernel_recurrent"), ("bias_ih", "bias"))
    },
    **{
        f"{layer}.{theirs}": (layer, ours)
        for layer in ("hidden", "output")
        for theirs, ours in (("weight", "kernel"), ("bias", "bias"))
    },
}
_LIBRARY_OF = {"higher second": "higher", "TorchOpt second": "torchopt"}


class Network(nn.Module):
    def __init__(self, hidden_dim: int):
        super().__init__()
        self.lstm = nn.LSTM(COEFFICIENTS, hidden_dim, 2, batch_first=True)
        self.hidden = nn.Linear(hidden_dim, hidden_dim)
        self.output = nn.Linear(hidden_dim, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.hidden(self.lstm(x)[0][:, -1]))


def _network(weights: Weights, hidden_dim: int) -> Network:
    network = Network(hidden_dim)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name in _NAMES:
                layer, ours = _NAMES[name]
                parameter.copy_(torch.tensor(weights[layer][ours].T))
            else:
                # torch has two biases per gate; if both took the inner step it would be twice as long as ours.
                parameter.zero_().requires_grad_(False)
    return network.to(_device())


def _frozen_as_buffers(module: nn.Module) -> None:
    """TorchOpt differentiates by every parameter, so one that is frozen must not be a parameter."""
    for name, parameter in list(module.named_parameters(recurse=False)):
        if not parameter.requires_grad:
            delattr(module, name)
            module.register_buffer(name, parameter.detach())
    # The LSTM's own list of its weights still has the parameters.
    module._flat_weights = [getattr(module, name) for name in module._flat_weights_names]


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _trained(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p for name, p in network.named_parameters() if p.requires_grad}


def _first(network: Network, support, query, inner_steps: int):
    adapted = copy.deepcopy(network)
    parameters = list(_trained(adapted).values())
    for _ in range(inner_steps):
        grads = torch.autograd.grad(cross_entropy(adapted(support[0]), support[1]), parameters)
        with torch.no_grad():
            for parameter, grad in zip(parameters, grads, strict=True):
                parameter.sub_(grad, alpha=INNER_LR)
    return torch.autograd.grad(cross_entropy(adapted(query[0]), query[1]), parameters)


def _second(network: Network, support, query, inner_steps: int):
    initial = _trained(network)
    adapted = initial
    for _ in range(inner_steps):
        loss = cross_entropy(torch.func.functional_call(network, adapted, (support[0],)), support[1])
        grads = torch.autograd.grad(loss, list(adapted.values()), create_graph=True)
        adapted = {name: p - INNER_LR * g for (name, p), g in zip(adapted.items(), grads, strict=True)}
    loss = cross_entropy(torch.func.functional_call(network, adapted, (query[0],)), query[1])
    return torch.autograd.grad(loss, list(initial.values()))


def _higher(network: Network, support, query, inner_steps: int):
    import higher

    initial = list(_trained(network).values())
    optimizer = torch.optim.SGD(initial, lr=INNER_LR)
    with higher.innerloop_ctx(network, optimizer, copy_initial_weights=False) as (adapted, inner):
        for _ in range(inner_steps):
            inner.step(cross_entropy(adapted(support[0]), support[1]))
        return torch.autograd.grad(cross_entropy(adapted(query[0]), query[1]), initial)


def _torchopt(network: Network, support, query, inner_steps: int):
    import torchopt

    initial = list(_trained(network).values())
    state = torchopt.extract_state_dict(network, by="reference")
    inner = torchopt.MetaSGD(network, lr=INNER_LR)
    for _ in range(inner_steps):
        inner.step(cross_entropy(network(support[0]), support[1]))
    grads = torch.autograd.grad(cross_entropy(network(query[0]), query[1]), initial)
    torchopt.recover_state_dict(network, state)
    return grads


_TASK_GRADIENTS = {
    "torch first": _first,
    "torch second": _second,
    "higher second": _higher,
    "TorchOpt second": _torchopt,
}


@contextlib.contextmanager
def _backend(name: str, onednn: bool):
    """The kernels that `name` may use.

    cuDNN's LSTM has no second derivative. oneDNN's has: its backward pass is composed of plain operations where it is
    to be differentiated again; which of the two is faster depends on the sizes (_faster_backend).
    """
    with (
        torch.backends.cudnn.flags(enabled=name == "torch first"),
        contextlib.nullcontext() if onednn else torch.backends.mkldnn.flags(enabled=False),
    ):
        yield


def make_step(name: str, problem: Problem, tasks: int, onednn: bool) -> Callable[[], list[torch.Tensor]]:
    """The gradient's mean over the first `tasks` tasks, as a function without arguments."""
    network = _network(problem.weights, problem.setting.hidden_dim)
    if name == "TorchOpt second":
        _frozen_as_buffers(network.lstm)
    support, query = (
        (torch.tensor(x, device=_device()), torch.tensor(y, device=_device(), dtype=torch.long))
        for x, y in (problem.support, problem.query)
    )

    def call():
        total = None
        with _backend(name, onednn):
            for task in range(tasks):
                batches = [tuple(array[task] for array in batch) for batch in (support, query)]
                grads = _TASK_GRADIENTS[name](network, *batches, problem.setting.inner_steps)
                total = grads if total is None else [t.add_(g) for t, g in zip(total, grads, strict=True)]
        total = [t / tasks for t in total]
        if _device() == "cuda":
            torch.cuda.synchronize()
        return total

    return call


def _faster_backend(name: str, problem: Problem) -> bool:
    """Whether second order is faster with oneDNN, by one task's time after a warm-up."""
    if name == "torch first" or _device() == "cuda":
        return True
    seconds = {}
    for onednn in (True, False):
        call = make_step(name, problem, 1, onednn)
        seconds[onednn] = min(timed(call)[1] for _ in range(2))
    return seconds[True] < seconds[False]


def _memory_run(name: str, problem: Problem, onednn: bool) -> tuple[Callable, Callable]:
    """For peak_growth: a call with a few utterances, which loads the kernels, and the call to measure."""
    few = problem._replace(**{part: tuple(a[:, :2] for a in getattr(problem, part)) for part in ("support", "query")})
    return make_step(name, few, 1, onednn), make_step(name, problem, problem.setting.tasks, onednn)


def build(name: str, order: str, problem: Problem, memory_limit: float) -> Variant:
    library = _LIBRARY_OF.get(name)
    if library and importlib.util.find_spec(library) is None:
        return Variant(name, note="not installed")
    variant = Variant(name, gradients=lambda grads: to_weights(grads, problem))
    if _device() == "cpu":
        # Before the first call in this process, which may not fit.
        growth = peak_growth(_memory_run, (name, problem, order == "first"), memory_limit)
        if growth is None:
            variant.note = f"left out: needs more than {memory_limit / 2**30:.0f} GiB"
            return variant
        variant.memory_mib = growth / 2**20
    onednn = _faster_backend(name, problem)
    variant.call = make_step(name, problem, problem.setting.tasks, onednn)
    if _device() == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        variant.call()
        variant.memory_mib = (torch.cuda.max_memory_allocated() - before) / 2**20
    elif order == "second":
        variant.note = f"oneDNN {'on' if onednn else 'off'}"
    return variant


def to_weights(grads: list[torch.Tensor], problem: Problem) -> Weights:
    """Gradients as torch orders them -> as our parameters' tree."""
    names = _trained(_network(problem.weights, problem.setting.hidden_dim))
    weights = {layer: {} for layer in problem.weights}
    for name, grad in zip(names, grads, strict=True):
        layer, ours = _NAMES[name]
        weights[layer][ours] = np.ascontiguousarray(grad.cpu().numpy().T)
    return weights
