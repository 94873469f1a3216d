"""Adapt to a language with a few labelled clips of each emotion, and write a model folder.

metaser adapt --support=clips --out=saraiki --language=Saraiki

clips/ holds angry/ happy/ neutral/ sad/ with .wav, .flac, .mp3, .ogg and whatever else libsndfile reads; folders inside
them are speakers. Or clips.csv with the columns path, emotion, and if known speaker. It warns of problems with the
clips, then cross-validates, and says how much that score can prove.
"""

from metaser_jax.specs.commands import AdaptConfig


def main(config: AdaptConfig, arguments: list[str]) -> None:
    """Adapt to labelled clips and write the model folder."""
    # Imported here: after a look at what was typed.
    from metaser_jax.adaptation.few_clips import check_out, run_adapt
    from metaser_jax.devices import parallel
    from metaser_jax.recogniser.folder import save_model

    parallel.one_device_per_core()
    check_out(config.out)
    model = run_adapt(config)
    save_model(config.out, model)
    about = model.about
    clips = ", ".join(f"{n} {emotion}" for emotion, n in about["support"]["n_per_emotion"].items())
    print(f"Adapted to {sum(about['support']['n_per_emotion'].values())} clips: {clips}.")
    validated, calibration = about["cross_validation"], about["calibration"]
    if validated is None:
        print("An emotion has a single clip, so nothing could be held out: no score, and uncalibrated probabilities.")
    else:
        print(validated["verdict"])
        print(calibration["verdict"])
    print(f"The model and its card are in {config.out}. Next: metaser predict --model={config.out} RECORDING ...")
