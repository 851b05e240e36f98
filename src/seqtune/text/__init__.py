"""What every task on text needs: rows of text files, splits, pretrained models, tokens.

It knows no task: what a dialogue or a label is stands in `tasks`.
"""
