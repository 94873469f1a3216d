"""EMOVO (Costantini et al., 2014): six Italian actors. See README.md beside this file."""

from typing import ClassVar

from metaser_jax.datasets.base import CorpusBuilder, Download, Published, own_names


class Builder(CorpusBuilder):
    """588 utterances of 6 speakers, seven emotions."""

    HOMEPAGE = "http://voice.fub.it/activities/corpora/emovo/index.html"
    LICENSE = "For research; see the site of the corpus."
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Get EMOVO.zip (about 355 MB) from http://voice.fub.it/activities/corpora/emovo/index.html, and put it, or its
    folders f1, f2, f3, m1, m2 and m3, into MANUAL_DIR/emovo/.
    """

    LANGUAGE = "Italian"
    LAYOUT = "**/f1/rab-f1-b1.wav"
    PUBLISHED = Published(588, 6, {"angry": 84, "happy": 84, "neutral": 84, "sad": 84}, 3.12, (48_000,))
    DOWNLOADS = (
        Download(
            "https://drive.usercontent.google.com/download?id=1SUtaKeA-LYnKaD3qv87Y5wYgihJiNJAo&export=download&confirm=t"
        ),
    )
    STEM = r"(?P<code>[a-z]{3})-(?P<speaker>[fm][1-3])-[bdln]\d"
    STEM_MEANS = "emotion (3 letters)-speaker (f1 to m3)-sentence (b, d, l or n, and a digit), e.g. rab-f1-b1"
    # The first letters of the Italian words.
    EMOTION_OF_CODE: ClassVar = own_names(
        rab="rabbia (anger)",
        gio="gioia (joy)",
        neu="neutrale (neutral)",
        tri="tristezza (sadness)",
        dis="disgusto (disgust)",
        pau="paura (fear)",
        sor="sorpresa (surprise)",
    )
