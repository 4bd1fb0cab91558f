"""One .tflite file on several sets of kernels, compared tensor by tensor.

arrays.py       named arrays as bytes, for processes and dumps
cutting.py      one operator of a file as a file of its own
native.py       what runs in a process apart: whole files, and operators alone
catalogue.py    the engines by name, and what each can do
calls.py        calls of these processes, and what a crash is narrowed down to
dumps.py        tensors that a device wrote, read and written
answers.py      outputs -> scores of classes
feeding.py      images or arrays -> the codes that every engine reads
differences.py  how many values differ, and by how many steps
tally.py        the running sums of one engine
comparison.py   the whole of it; `results.kernelrecords` says what it comes to
"""
