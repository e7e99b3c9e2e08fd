#!/usr/bin/python3
"""Writes pillow.json: what Pillow makes of a small picture, for src/images/augment. Run with Debian's python3-pil 9.4."""
import base64
import json
import os

from PIL import Image, ImageEnhance, ImageOps, __version__

W, H = 21, 18


def picture():
    """Smooth gradients with noise from a linear congruential generator; the blue channel is nearly flat."""
    seed, data = 1, bytearray()
    for y in range(H):
        for x in range(W):
            for c in range(3):
                seed = (seed * 1664525 + 1013904223) % 2**32
                noise = seed >> 24
                data.append([(20 + 9 * x + noise // 8) % 256, (noise * 3 // 4 + 4 * y) % 256, 100 + noise // 32][c])
    return Image.frombytes("RGB", (W, H), bytes(data))


image = picture()
fill = (124, 116, 104)
geometry = dict(resample=Image.BICUBIC, fillcolor=fill)
affine = lambda *m: image.transform(image.size, Image.AFFINE, m, **geometry)


def solarize_add(add):
    lut = [min(255, i + add) if i < 128 else i for i in range(256)]
    return image.point(lut * 3)


cases = {
    "autoContrast": ImageOps.autocontrast(image),
    "equalize": ImageOps.equalize(image),
    "invert": ImageOps.invert(image),
    "posterize 0": ImageOps.posterize(image, 0),
    "posterize 1": ImageOps.posterize(image, 1),
    "posterize 4": ImageOps.posterize(image, 4),
    "solarize 26": ImageOps.solarize(image, 26),
    "solarize 128": ImageOps.solarize(image, 128),
    "solarizeAdd 99": solarize_add(99),
    **{f"{name} {f}": getattr(ImageEnhance, name.capitalize())(image).enhance(f)
       for name in ("color", "contrast", "brightness", "sharpness") for f in (0.1, 0.19, 1.0, 1.81, 1.9)},
    **{f"rotate {a}": image.rotate(a, **geometry) for a in (27.0, -27.0, 3.7, -30.0)},
    **{f"shearX {f}": affine(1, f, 0, 0, 1, 0) for f in (0.27, -0.3)},
    **{f"shearY {f}": affine(1, 0, 0, f, 1, 0) for f in (0.27, -0.3)},
    **{f"translateX {p}": affine(1, 0, p, 0, 1, 0) for p in (8.505, -3.0, -8.1)},
    **{f"translateY {p}": affine(1, 0, 0, 0, 1, p) for p in (7.29, -2.0, -6.6)},
}
encode = lambda picture: base64.b64encode(picture.tobytes()).decode()
with open(os.path.join(os.path.dirname(__file__), "pillow.json"), "w") as file:
    json.dump(dict(pillow=__version__, width=W, height=H, fill=fill, input=encode(image),
                   cases={name: encode(result) for name, result in cases.items()}), file, indent=1)
    file.write("\n")
