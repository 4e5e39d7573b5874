"""Examples for the ``--help`` of each command; a test parses every one of them."""

from __future__ import annotations

from typing import Final

_EXAMPLES: Final = {
    "compress": """
  aecodec compress t10k-images-idx3-ubyte.gz --labels t10k-labels-idx1-ubyte.gz
  aecodec compress birds/ --lossless --title Birds      # a tree, a folder for each class
  aecodec compress cells.npy -o cells.aez --max-error 4
  aecodec compress cells.npy --psnr 35 --coder ans --embed-model
  cat cells.npy | aecodec compress - -o - > cells.aez""",
    "decompress": """
  aecodec decompress birds.aez                          # the tree again
  aecodec decompress birds.aez -o birds.npz             # with labels and names
  aecodec decompress digits.aez -o some.npy --images 100:200""",
    "info": """
  aecodec info birds.aez
  aecodec info birds.aez --json | python -m json.tool""",
    "verify": """
  aecodec verify birds.aez                              # checksums
  aecodec verify birds.aez --full                       # and every pixel's hash
  aecodec verify birds.aez --against birds/             # and every error that it states""",
    "view": """
  aecodec view birds.aez                                # -> birds.html
  aecodec view birds.aez --against birds/ --count 5000 -o page.html
  aecodec view birds.aez --serve --port 8000""",
    "train": """
  aecodec train glyphs.npy -o glyphs.safetensors        # all layers, hours on a CPU
  aecodec train glyphs.npy -o glyphs.safetensors --layers r --variant small --base fashion
  aecodec train glyphs.npy -o glyphs.safetensors --resume -f
  aecodec train glyphs.npy -o quick.safetensors --layers l --steps 500""",
    "models": """
  aecodec models
  AECODEC_MODEL_PATH=~/models aecodec models --json""",
    "bench": """
  aecodec bench cells.npy                               # beside PNG, zstd, JPEG and others
  aecodec bench t10k-images-idx3-ubyte.gz --labels t10k-labels-idx1-ubyte.gz --limit 2000""",
    "repair": """
  aecodec repair cut.aez -o whole.aez                   # says which images are lost""",
    "map": """
  aecodec map t10k-images-idx3-ubyte.gz --labels t10k-labels-idx1-ubyte.gz --model mnist -o map.html
  aecodec map wine.csv --linear -o wine.png             # what PCA finds
  aecodec map birds.aez --dims 3 -o points.npy""",
    "generate": """
  aecodec generate --model mnist -o samples.png --seed 7
  aecodec generate --model fashion --manifold -n 400 -o plane.png
  aecodec generate --model mnist --elbo t10k-images-idx3-ubyte.gz --json""",
    "denoise": """
  aecodec denoise scans/ -o clean/ --model mnist
  aecodec denoise clean.npy --add-noise gaussian 0.3 --model mnist --sheet sheet.png""",
    "sheet": """
  aecodec sheet birds.aez --against birds/ -o sheet.png""",
    "demo": """
  aecodec demo
  aecodec demo --quality 7 -o demo.png""",
    "completion": """
  aecodec completion bash > ~/.local/share/bash-completion/completions/aecodec
  aecodec completion zsh > ~/.zfunc/_aecodec            # a folder in $fpath""",
}


def examples_of(command: str) -> str | None:
    """What stands under the help of a command; None for one without examples."""
    text = _EXAMPLES.get(command)
    return None if text is None else f"examples:{text}\n"


def example_lines() -> list[str]:
    """Every line of every command's examples."""
    return [line.strip() for text in _EXAMPLES.values() for line in text.strip().splitlines()]
