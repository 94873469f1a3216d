"""What is compiled for accelerators that are not here: counts, the programs' shapes, and a short version."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from metaser_jax.errors import InputError
from metaser_jax.training import parallel

TEXT = """\
HloModule jit_step, is_scheduled=true

%fused (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  ROOT %sin = f32[8]{0} sine(%p)
}

%body (state: (s32[], f32[8])) -> (s32[], f32[8]) {
  %state = (s32[], f32[8]{0}) parameter(0)
  %i = s32[] get-tuple-element(%state), index=0
  %x = f32[8]{0} get-tuple-element(%state), index=1
  %one = s32[] constant(1)
  %next = s32[] add(%i, %one)
  %y = f32[8]{0} fusion(%x), kind=kLoop, calls=%fused, backend_config={"estimated_cycles":"10"}
  %z = f32[8]{0} custom-call(%y), custom_call_target="__gpu$xla.gpu.triton"
  ROOT %out = (s32[], f32[8]{0}) tuple(%next, %z)
}

%condition (state: (s32[], f32[8])) -> pred[] {
  %state.1 = (s32[], f32[8]{0}) parameter(0)
  %i.1 = s32[] get-tuple-element(%state.1), index=0
  %limit = s32[] constant(120)
  ROOT %less = pred[] compare(%i.1, %limit), direction=LT
}

%yes (a: f32[8]) -> f32[8] {
  %a = f32[8]{0} parameter(0)
  %b = f32[8]{0} fusion(%a), kind=kLoop, calls=%fused
  ROOT %c = f32[8]{0} custom-call(%b), custom_call_target="__cublas$gemm"
}

%no (a.1: f32[8]) -> f32[8] {
  ROOT %a.1 = f32[8]{0} parameter(0)
}

ENTRY %main (x.1: f32[8], p.1: pred[]) -> f32[8] {
  %x.1 = f32[8]{0} parameter(0)
  %p.1 = pred[] parameter(1)
  %zero = s32[] constant(0)
  %start = (s32[], f32[8]{0}) tuple(%zero, %x.1)
  %while = (s32[], f32[8]{0}) while(%start), condition=%condition, body=%body
  %w = f32[8]{0} get-tuple-element(%while), index=1
  %if = f32[8]{0} conditional(%p.1, %w, %w), true_computation=%yes, false_computation=%no
  %gathered = (f32[8]{0}, f32[16]{0}) all-gather-start(%if), dimensions={0}
  %done = f32[16]{0} all-gather-done(%gathered)
  ROOT %sum = (f32[8]{0}, bf16[]) all-reduce(%if, %p.1), to_apply=%add
}
"""


def test_counts_by_hand(module):
    counts = module("hlo_counts").count(TEXT)
    assert counts == (2 * 120 + 2 + 2, 1, 2, 16 * 4 + 8 * 4 + 2, 120, 1, 1200, 120 + 4)
    by_data = TEXT.replace("constant(120)", "parameter(1)")
    assert module("hlo_counts").count(by_data).operations == 2 + 2 + 2, "a loop whose number is data counts once"
    known = TEXT.replace("body=%body", 'body=%body, backend_config={"known_trip_count":{"n":"7"}}')
    assert module("hlo_counts").count(known).operations == 2 * 7 + 4


def test_counts_of_what_jax_compiled_here(module):
    def step(x, n):
        def twice(x):
            return jax.lax.scan(lambda x, _: (jnp.sort(jnp.tanh(x)), None), x, length=50)[0]

        return jax.lax.fori_loop(0, n, lambda _, x: twice(x), x)

    counts = module("hlo_counts").count(jax.jit(step).lower(jnp.ones(64), 3).compile().as_text())
    assert counts.loops >= 2
    assert 50 <= counts.operations < 1000


def test_flops_of_products(module):
    def function(x, w):
        y = jax.lax.scan(lambda x, _: (x @ w, None), x, length=10)[0]
        return jax.lax.cond(y[0, 0] > 0, lambda y: y @ w @ w, lambda y: y, y)

    assert module("hlo_counts").product_flops(function, jnp.ones((3, 4)), jnp.ones((4, 4))) == 12 * 2 * 3 * 4 * 4


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("interval", {"tasks": 1, "order": "first"}),
        ("validation", {"tasks": 1}),
        ("fine-tuning", {}),
        ("prediction", {}),
    ],
)
def test_programs_are_the_real_ones(name, changes, module):
    """Each is lowered for a mesh that is given, and not for all the devices that are here."""
    mesh = parallel.task_mesh(1, 1)
    program = module("accelerator_programs").program_of(mesh, name, hidden_dim=16, **changes)
    lowered = program.function.lower(*program.arguments)
    first = {"interval": (1,), "validation": (1,), "fine-tuning": (16, 128, 4), "prediction": (64, 4)}[name]
    shapes = [leaf.shape for leaf in jax.tree.leaves(lowered.out_info)]
    assert first in shapes
    assert "stablehlo.while" in lowered.as_text()
    assert "mhlo.num_partitions = 1" in lowered.as_text()


@pytest.mark.parametrize("wrong", [{"targets": ("H200 x 1",)}, {"targets": ()}, {"programs": ("maml",)}])
def test_bad_flags(wrong, module):
    with pytest.raises(InputError, match=f"--{next(iter(wrong))}"):
        module("accelerators").AcceleratorsConfig(out="out", **wrong)


@pytest.mark.parametrize(
    ("target", "programs"),
    [("H100 x 1", ["maml first kernel", "prediction"]), ("v5e x 1", ["prediction"])],
)
def test_short_version(target, programs, module, benchmarks, tmp_path):
    compilers = module("compilers")
    if absent := compilers.missing(compilers.target_of(target)):
        pytest.skip(f"the compiler for {target} is not installed: {absent}")
    command = [sys.executable, benchmarks / "accelerators.py", f"--out={tmp_path}", f"--targets={target}"]
    command.append(f"--programs={','.join(programs)}")
    # The test's own flags of XLA would be the accelerator's, too.
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"} | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    rows = dict.fromkeys(programs)
    for line in (tmp_path / "accelerators.md").read_text().splitlines()[2:]:
        name, device, seconds, *counts = line.strip("| ").split(" | ")
        assert device == target
        assert seconds.endswith(" s"), line
        rows[name] = counts
    assert all(rows.values())
    if target == "H100 x 1":
        assert "10 Pallas" in rows["maml first kernel"][1]
        assert rows["maml first kernel"][2] == "1", "no loop is left but that over episodes"
