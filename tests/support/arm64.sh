#!/usr/bin/env bash
# Put Python, PyTorch 2.9.1 and this project's packages for arm64 into a folder, to run under qemu:
#   qemu-aarch64 -L FOLDER/root FOLDER/root/usr/bin/python3.11
# with PYTHONPATH=FOLDER/site. PyTorch 2.9.1 is the last whose arm64 wheel holds no CUDA.
set -euo pipefail
folder=$1 python=$2 lock=$3
mkdir -p "$folder"/{lists/partial,cache/archives/partial,debs,root,site}

debian=(libc6 libgcc-s1 libstdc++6 python3.11 python3.11-minimal libpython3.11-minimal
    libpython3.11-stdlib zlib1g libexpat1 libssl3 libffi8 libbz2-1.0 liblzma5 libsqlite3-0 libuuid1
    libncursesw6 libtinfo6 libreadline8 libdb5.3 libnsl2 libtirpc3 media-types libcrypt1 libgomp1
    libgfortran5)
apt=(apt-get -qq -oAPT::Architecture=arm64 -oAPT::Architectures=arm64
    -oDir::State::Lists="$folder/lists" -oDir::Cache="$folder/cache" -oAPT::Sandbox::User=root)
"${apt[@]}" update
(cd "$folder/debs" && "${apt[@]}" download "${debian[@]}")
for deb in "$folder"/debs/*.deb; do dpkg -x "$deb" "$folder/root"; done

packages=(numpy numba llvmlite pandas pyarrow matplotlib contourpy cycler fonttools kiwisolver
    packaging pillow pyparsing python-dateutil six tzdata safetensors PyYAML jsonschema attrs
    jsonschema-specifications referencing rpds-py typing_extensions Jinja2 MarkupSafe tqdm shtab
    filelock fsspec mpmath networkx sympy pytest)
for package in "${packages[@]}"; do grep -i "^$package==" "$lock" || true; done > "$folder/wanted"
echo torch==2.9.1 >> "$folder/wanted"
tags=()
for platform in manylinux_2_28 manylinux_2_27 manylinux_2_26 manylinux_2_24 manylinux_2_17 manylinux2014; do
    tags+=(--platform "${platform}_aarch64")
done
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --python-version 3.11 --implementation cp "${tags[@]}" --platform any \
    --target "$folder/site" --upgrade -r <(cat "$folder/wanted") 2> >(grep -v "already exists" >&2)
rm -rf "$folder"/{debs,lists,cache}
touch "$folder/.installed"
