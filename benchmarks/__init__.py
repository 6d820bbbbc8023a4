"""What the library costs, each as a ratio to what the same machine allows or a peer takes in the same run. `python -m benchmarks.NAME`."""
