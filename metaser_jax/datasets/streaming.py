"""Writes the examples of a split as they come, by TFDS's writer and in one shard, so that memory does not grow."""

from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_serializer
from tensorflow_datasets.core.writer import ExampleWriter


def write_split(
    examples: Iterable[tuple[str, dict[str, Any]]],
    features: tfds.features.FeaturesDict,
    writer: ExampleWriter,
    template: Any,
) -> tfds.core.SplitInfo:
    """Write one split in the order of its examples.

    Args:
      examples: (key, example); the keys must be unique.
      features: of the dataset.
      writer: of the dataset's file format.
      template: TFDS's ShardedFileTemplate of the split.

    Returns:
      What TFDS keeps of a split.

    Raises:
      OSError: they cannot be written.
    """
    serializer = example_serializer.ExampleSerializer(features.get_serialized_info())
    count = size = 0
    writing = False

    def serialised() -> Iterator[tuple[int, bytes]]:
        nonlocal count, size, writing
        for _, example in examples:
            # A proto's map has an order of its own in every process, unless it is asked for one.
            record = serializer.get_tf_example(features.encode_example(example)).SerializeToString(deterministic=True)
            writing = True
            yield count, record
            writing = False
            count += 1
            size += len(record)
        writing = True

    try:
        writer.write(template.sharded_filepath(shard_index=0, num_shards=1), serialised())
    except RuntimeError as error:
        if writing:  # array_record has no other error for a full disk
            raise OSError(str(error)) from error
        raise
    return tfds.core.SplitInfo(name=template.split, shard_lengths=[count], num_bytes=size, filename_template=template)
