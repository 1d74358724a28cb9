"""The shipped weights, one `.safetensors` file each; read them with `lcpfn.load(name)`."""
