"""The files of parity in a user's repository: `parity init`.

In: the folder of a project. Out: a case where there is none, a tox.ini, a workflow, a folder for baselines and a file
for known issues, which run as they are.

    finding     the cases and models that the project has, and the library that its models are made with
    pairs       the pair of releases in use, and the newest
    writing     the files, written all or not at all
"""
