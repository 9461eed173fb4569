"""report.html: one file that opens from disk, asks no network, and shows a whole run.

``sections/`` turns a run into plain data, a module a section; ``blocks.py`` is what sections are made of;
``templates/`` holds one template a block, ``assets/`` one script a kind of plot, and ``page.py`` puts all of
it together.
"""
