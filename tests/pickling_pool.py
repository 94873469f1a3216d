"""Worker processes without processes."""

import pickle


class PicklingPool:
    """A pool of processes, as far as what goes to them and comes back is concerned."""

    def __init__(self, workers: int):
        pass

    def submit(self, function, *args):
        function, args = pickle.loads(pickle.dumps((function, args)))

        class Future:
            def result(self):
                return pickle.loads(pickle.dumps(function(*args)))

        return Future()

    def shutdown(self, cancel_futures: bool) -> None:
        pass
