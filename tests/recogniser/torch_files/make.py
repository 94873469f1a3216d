"""Makes the files beside it, with PyTorch (they were made with 2.13.0).

PYTHONPATH=tests/recogniser python tests/recogniser/torch_files/make.py

The authors' network with four hidden units, saved in every way; its logits are printed. What is in it is random.
"""

from pathlib import Path

import torch
from torch import nn
from torch_writer import mfcc

HERE = Path(__file__).parent


class Network(nn.Module):
    """The authors' network: the last of the second LSTM's states, and no non-linearity between the dense layers."""

    def __init__(self, hidden_dim: int = 4, n_classes: int = 4):
        super().__init__()
        self.lstm_1 = nn.LSTM(20, hidden_dim, batch_first=True)
        self.lstm_2 = nn.LSTM(hidden_dim, hidden_dim, batch_first=True)
        self.hidden = nn.Linear(hidden_dim, hidden_dim)
        self.hidden2targ = nn.Linear(hidden_dim, n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states, _ = self.lstm_2(self.lstm_1(x)[0])
        return self.hidden2targ(self.hidden(states[:, -1]))


def main() -> None:
    torch.manual_seed(0)
    model = Network()
    weights = model.state_dict()
    torch.save(weights, HERE / "zip.pt")
    torch.save(weights, HERE / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(weights, HERE / "protocol_4.pt", pickle_protocol=4)
    torch.save(model, HERE / "module.pt")
    x = mfcc()
    with torch.no_grad():
        print("LOGITS =", model(torch.tensor(x)).tolist())
    # What a training keeps, on several GPUs: DataParallel's names, parameters, and Adam's state; its rate is 0, so that
    # the weights are the same.
    parallel = nn.DataParallel(model)
    adam = torch.optim.Adam(parallel.parameters(), lr=0.0)
    parallel.module(torch.tensor(x)).sum().backward()
    adam.step()
    training = {"epoch": 3, "model_state_dict": dict(parallel.named_parameters()), "optimizer": adam.state_dict()}
    torch.save(training, HERE / "training.pt")


if __name__ == "__main__":
    main()
