"""What each command's ``--help`` says besides its options. A test parses every example."""

from __future__ import annotations

from typing import Final

_DESCRIPTIONS: Final = {
    "compress": """
Pack an image set into one .aez file. A set is 8-bit images of one shape: an IDX file, .npy, .npz,
a folder or tree of pictures (PNG, JPEG and others that Pillow reads), or a pipe. A trained model
does the packing. If none on this machine fits the shape, the command ends with status 5: train one,
name one, or do without by --model none, where zstd alone packs the images.

The default is lossy, quality 5; --lossless keeps every pixel. Or ask for a PSNR, for a bound on
every pixel's error, or for a size. Every image is decoded again while encoding, and one that misses
what was asked for is coded another way. The source is kept, and the output appears whole or not at
all. What is skipped is told, and the status is then 6.""",
    "decompress": """
Unpack an .aez, whole or a range of it, to the kind of set it was made from or to another. Labels,
columns and names are written too where that kind can hold them; the command names what it leaves
out. Every chunk that is unpacked whole is compared with the hash of its pixels. An empty folder is
filled; -f replaces one that holds nothing but names that are written again.

The model is found by its fingerprint: in the file, in the package, or in the folders of
$AECODEC_MODEL_PATH.""",
    "info": """
Tell what an .aez holds: images, size, errors, how many images are coded how, its model, labels and
columns. Reads the chunks' heads, decodes nothing and needs no model.""",
    "verify": """
Check every checksum of an .aez; with --full decode everything and compare the hash of the pixels;
with --against compute all errors again from the originals. Exits with 3 at the first fault.""",
    "repair": """
Write what is whole in a cut or damaged .aez to a new file. If the index is lost, chunks are found
by their markers. Labels, columns and names are cut to the images that are kept. Tells which images
and sections are lost, and exits with 3 if any are; the damaged file is never changed.""",
    "view": """
Show an .aez as one HTML page that needs nothing else: the facts of the file, its images, their
errors where the originals are given, size by part, images by mode, and a map of the latents.""",
    "train": """
Train a model on an image set: the latent layer l, its prior p, the pixel model r and the
dequantizer d, one after the other. A part of the images is held out, and the command tells what the
model reaches on them. Training may be interrupted; --resume continues it from MODEL.ckpt. With
--map, --vae or --denoise the command trains a small network for those uses instead.""",
    "models": """
List the models for compression on this machine: those in the folders of $AECODEC_MODEL_PATH, and
those of the package. What is called like a model there and is none, or cannot be read, is passed
over, which standard error tells; other commands tell it with -v.""",
    "bench": """
Measure aecodec beside every other codec that is installed, on an image set of your own: size, PSNR,
largest error, SSIM, and speed. -o writes a page with tables and figures too.""",
    "map": """
Draw a table of numbers or an image set in 2 or 3 dimensions, by a linear or a nonlinear
autoencoder, as a picture, a page to move about in, or coordinates.""",
    "generate": """
Make images with a variational autoencoder: samples, a plane of its latents, or steps from one image
to another; or measure how well it explains a set (--elbo).""",
    "denoise": """
Take noise off images with a denoising autoencoder, or add noise first and tell the gain in
PSNR.""",
    "sheet": """
Draw originals over what an .aez makes of them, as one picture.""",
    "demo": """
Compress 1,000 real images that come with the package, and show a table and a picture of it beside
zstd, PNG and PCA.""",
    "completion": """
Print a script by which a shell completes commands, options and files.""",
}
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
  aecodec decompress digits.aez -o some.npy --images 100:200
  aecodec decompress cut.aez -o rest.npz --skip-damaged""",
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
  aecodec train glyphs.npy -o glyphs.safetensors        # all layers, about two hours on a CPU core
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
    """The text below the options in the help of a command; None for one without examples."""
    text = _EXAMPLES.get(command)
    return None if text is None else f"examples:{text}\n"


def description_of(command: str) -> str:
    """The text above the options in the help of a command."""
    return _DESCRIPTIONS[command].strip()


def example_lines() -> list[str]:
    """Every line of every command's examples."""
    return [line.strip() for text in _EXAMPLES.values() for line in text.strip().splitlines()]
