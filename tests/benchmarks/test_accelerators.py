"""What is compiled for accelerators that are not here: counts, the programs' shapes, and a short version."""

import jax
import jax.numpy as jnp
import pytest

from metaser_jax.errors import InputError
from metaser_jax.training import parallel

TEXT = """\
HloModule jit_step, is_scheduled=true
%fused (p: f32[8]) -> f32[8] {
  ROOT %sin = f32[8]{0} sine(%p)
}
%body (state: (s32[], f32[8])) -> (s32[], f32[8]) {
  %i = s32[] get-tuple-element(%state), index=0
  %x = f32[8]{0} get-tuple-element(%state), index=1
  %one = s32[] constant(1)
  %next = s32[] add(%i, %one)
  %y = f32[8]{0} fusion(%x), kind=kLoop, calls=%fused, backend_config={"estimated_cycles":"10"}
  %z = f32[8]{0} custom-call(%y), custom_call_target="__gpu$xla.gpu.triton"
  ROOT %out = (s32[], f32[8]{0}) tuple(%next, %z)
}
%condition (state: (s32[], f32[8])) -> pred[] {
  %i.1 = s32[] get-tuple-element(%state.1), index=0
  %limit = s32[] constant(120)
  ROOT %less = pred[] compare(%i.1, %limit), direction=LT
}
%yes (a: f32[8]) -> f32[8] {
  %b = f32[8]{0} fusion(%a), kind=kLoop, calls=%fused
  ROOT %c = f32[8]{0} custom-call(%b), custom_call_target="__cublas$gemm"
}
%no (a.1: f32[8]) -> f32[8] {
  ROOT %a.1 = f32[8]{0} parameter(0)
}
ENTRY %main (x.1: f32[8], p.1: pred[]) -> f32[8] {
  %zero = s32[] constant(0)
  %start = (s32[], f32[8]{0}) tuple(%zero, %x.1)
  %while = (s32[], f32[8]{0}) while(%start), condition=%condition, body=%body
  %if = f32[8]{0} conditional(%p.1, %while, %while), true_computation=%yes, false_computation=%no
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
    def function(x, w):
        y = jax.lax.scan(lambda x, _: (jnp.sort(jnp.tanh(x @ w)), None), x, length=50)[0]
        return jax.lax.cond(y[0, 0] > 0, lambda y: y @ w @ w, lambda y: y, y)

    arguments = jnp.ones((3, 4)), jnp.ones((4, 4))
    counts = module("hlo_counts").count(jax.jit(function).lower(*arguments).compile().as_text())
    assert counts.loops >= 1
    assert 50 <= counts.operations < 1000
    assert module("hlo_counts").product_flops(function, *arguments) == 52 * 2 * 3 * 4 * 4


@pytest.mark.parametrize(
    ("name", "changes", "shape"),
    [
        ("interval", {"tasks": 1, "order": "first"}, (1,)),
        ("validation", {"tasks": 1}, (1,)),
        ("fine-tuning", {}, (16, 128, 4)),
        ("prediction", {}, (64, 4)),
    ],
)
def test_programs_are_the_real_ones(name, changes, shape, module):
    """Each is lowered for a mesh that is given, and not for all the devices that are here."""
    mesh = parallel.task_mesh(1, 1)
    program = module("accelerator_programs").program_of(mesh, name, hidden_dim=16, **changes)
    lowered = program.function.lower(*program.arguments)
    assert shape in [leaf.shape for leaf in jax.tree.leaves(lowered.out_info)]
    assert "stablehlo.while" in lowered.as_text()
    assert "mhlo.num_partitions = 1" in lowered.as_text()


@pytest.mark.parametrize("wrong", [{"targets": ("H200 x 1",)}, {"targets": ()}, {"programs": ("maml",)}])
def test_bad_flags(wrong, module):
    with pytest.raises(InputError, match=f"--{next(iter(wrong))}"):
        module("accelerators").AcceleratorsConfig(out="out", **wrong)


@pytest.mark.parametrize("target", ["H100 x 1", "v5e x 1"])
def test_short_version(target, module, run_benchmark, tmp_path):
    programs = ["maml first kernel", "prediction"] if target == "H100 x 1" else ["prediction"]
    compilers = module("compilers")
    if absent := compilers.missing(compilers.target_of(target)):
        pytest.skip(f"the compiler for {target} is not installed: {absent}")
    names = ",".join(programs)
    done = run_benchmark("accelerators.py", f"--out={tmp_path}", f"--targets={target}", f"--programs={names}")
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "accelerators.md").read_text().splitlines()[2:]
    rows = {name: row for name, *row in (line.strip("| ").split(" | ") for line in lines)}
    assert rows.keys() == set(programs)
    assert all(row[0] == target and row[1].endswith(" s") for row in rows.values())
    if target == "H100 x 1":
        assert "10 Pallas" in rows["maml first kernel"][3]
        assert rows["maml first kernel"][4] == "1", "no loop is left but that over episodes"
