"""Speech from eSpeak NG: its shared library, driven through ctypes.

The library comes from the package espeakng_loader (the extra `demo`), never from the system.

Determinism. eSpeak keeps state in static variables: the position in the table of pitch flutter, the gain control, a
random generator. Some of it cannot be reset, not even by espeak_Terminate: the same sentence twice gives two different
waveforms. What does reset it is loading the library anew, so each Engine loads a private copy of the file and seeds the
generator before each utterance; then the n-th utterance of an Engine depends only on the utterances that this Engine
has spoken before. Use an Engine from one thread. Its copy stays mapped (under 1 MB) until the process ends.

Reference: speak_lib.h of https://github.com/espeak-ng/espeak-ng, version 1.52.
"""

import ctypes
import dataclasses
import shutil
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from metaser_jax.errors import InputError, check_choice

_SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: samples go to the callback before espeak_Synth returns
_DONT_EXIT = 0x8000
_UTF8, _SSML = 1, 0x10
_PARAMETERS = {"rate": (1, 80, 450), "volume": (2, 0, 200), "pitch": (3, 0, 99), "pitch_range": (4, 0, 99)}
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclasses.dataclass(frozen=True)
class Voice:
    """A manner of speaking.

    Attributes:
      language: eSpeak's code, e.g. "fa".
      variant: the speaker, a name in espeak-ng-data/voices/!v, e.g. "f2"; it sets formants and base pitch.
      rate: words per minute, 80 to 450.
      volume: 0 to 200; over 60 the loudest vowels meet eSpeak's own limiter.
      pitch: 0 to 99; 50 is the variant's own, and 0 and 99 are about an octave below and above.
      pitch_range: 0 (monotone) to 99; 50 is the variant's own.
      contour: percent by which the pitch is raised in the sentence's first half and lowered in its second.
    """

    language: str
    variant: str
    rate: int = 175
    volume: int = 50
    pitch: int = 50
    pitch_range: int = 50
    contour: int = 0


class Engine:
    """A private copy of eSpeak NG; see the module's docstring on its state.

    Attributes:
      sample_rate: Hz.
      version: of the library, e.g. "1.52.0".

    Raises:
      InputError: espeakng_loader is not installed, or the library cannot be loaded or initialised.
    """

    def __init__(self):
        try:
            import espeakng_loader
        except ImportError as error:
            raise InputError(
                "The demo corpora are spoken by eSpeak NG, and the package espeakng_loader was not found: "
                'pip install "metaser_jax[demo]"'
            ) from error
        self._data = Path(espeakng_loader.get_data_path())
        self._lib = _private_copy(espeakng_loader.get_library_path())
        self._chunks: list[np.ndarray] = []
        self._callback = _CALLBACK(self._receive)  # kept: ctypes does not hold a reference for the library
        rate = self._lib.espeak_Initialize(_SYNCHRONOUS, 0, str(self._data).encode(), _DONT_EXIT)
        if rate <= 0:
            raise InputError(f"eSpeak NG could not be initialised (code {rate}) with the data at {self._data}.")
        self.sample_rate = rate
        self._lib.espeak_SetSynthCallback(self._callback)
        self._lib.espeak_Info.restype = ctypes.c_char_p
        self.version = self._lib.espeak_Info(None).decode()
        # eSpeak ignores an unknown variant silently.
        self._variants = {path.name for path in (self._data / "voices" / "!v").iterdir()}

    def _receive(self, samples, n: int, _) -> int:
        if samples and n > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (n,)).copy())
        return 0

    def _call(self, function: str, *arguments) -> None:
        if code := getattr(self._lib, function)(*arguments):
            raise InputError(f"eSpeak NG: {function}{arguments} returned code {code}, expected 0.")

    def say(self, text: str, voice: Voice) -> np.ndarray:
        """Speak `text`.

        Returns:
          [n] int16 samples at `sample_rate`, with the silence that eSpeak leaves before and after.

        Raises:
          InputError: unknown language or variant, a parameter out of its range, or no sound came out.
        """
        check_choice("Voice variant", voice.variant, self._variants)
        # Setting the voice sets the parameters back: the voice comes first.
        self._call("espeak_SetVoiceByName", f"{voice.language}+{voice.variant}".encode())
        for name, (number, low, high) in _PARAMETERS.items():
            value = getattr(voice, name)
            if not low <= value <= high:
                raise InputError(f"Voice.{name}: got {value}, expected {low} to {high}.")
            self._call("espeak_SetParameter", number, int(value), 0)
        self._lib.espeak_ng_SetRandSeed(ctypes.c_long(1))
        self._chunks.clear()
        code = _with_contour(text, voice.contour).encode() + b"\0"
        self._call("espeak_Synth", code, ctypes.c_size_t(len(code)), 0, 1, 0, _UTF8 | _SSML, None, None)
        if not self._chunks:
            raise InputError(f"eSpeak NG made no sound of {text!r} with {voice}.")
        return np.concatenate(self._chunks)


def _private_copy(path: str) -> ctypes.CDLL:
    # The loader knows libraries by their file, so a copy has static variables of its own; on Linux and macOS it may be
    # deleted once it is mapped.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            return ctypes.CDLL(shutil.copy(path, folder))
        except OSError as error:
            raise InputError(
                f"eSpeak NG's library could not be loaded from a copy of {path} ({error}). If the folder for temporary "
                "files forbids execution, set TMPDIR to one that allows it."
            ) from error


def _with_contour(text: str, contour: int) -> str:
    words = text.split()
    half = len(words) // 2
    parts = ((contour, words[:half]), (-contour, words[half:]))
    spoken = (f'<prosody pitch="{percent:+d}%">{escape(" ".join(part))}</prosody>' for percent, part in parts)
    return f"<speak>{' '.join(spoken)}</speak>"
