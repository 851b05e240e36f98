"""What each library does differently, as far as it bears on the numbers: part of every report."""

DIFFERENCES = """\
## What each does differently

With the same layers, heads, width, length, batch, dropout, share of masks and learning rate:

- **Sequences.** Each trains once an epoch on the last items of every user's training part (checked:
  column "sequences"). RecBole's own data sets would make a sample of every prefix, more than a
  hundred times as many; it is given sequences that were cut outside of it (`benchmark_filename`),
  a way that it documents, the last training item among them.
- **Padding.** seqtune makes batches of like lengths and pads to the longest of each; the others pad
  every sequence to the full length.
- **Masks.** RecTools replaces 80 % of the chosen items by [MASK], 10 % by another item, and leaves
  10 %; the others always put [MASK]. RecBole computes the loss at no more than mask x length
  positions of a sequence. Its `ft_ratio` and our `last_item_mask_ratio`, which mask the last item
  alone, are the same here ({last_item:g}); the other two know nothing like it.
- **Logits.** RecTools and RePlay (loss CE) compute them at every position, padding included;
  RecBole, seqtune and RePlay's `CE_restricted` at masked positions (RecBole at its padding too).
- **Output.** Tied to the item embedding in all (asked for in RePlay); RecBole has a layer more
  before it, RecTools no bias.
- **Optimiser.** Each its own: RecBole Adam, RecTools and RePlay Adam with beta2 0.98, seqtune AdamW
  with clipped gradients.
- **Precision.** Each as it comes, unless its row says otherwise: fp32 for the peers, `auto` for
  seqtune (bf16 autocast where the hardware has it).
- **An epoch** of the peers is timed from its first batch to its last; ours, through `training.fit`,
  with the saving of the state to resume from. Validation, checkpoints, logs and progress bars of
  the peers are off.
- **Validation.** Every user, all items: RecTools by `recommend` and `calc_metrics`, RecBole by
  `Trainer.evaluate`, RePlay by `Trainer.validate` with its callbacks, seqtune by the Trainer that
  `fit` uses. RecBole filters no seen items there, so its own metric is lower. RecTools does not
  know items that occur only beyond the length of its sequences (column "items").
- **Top-10.** Items of the training part are excluded for everybody; in RecBole by a few lines of
  ours over its `full_sort_scores`, as it has no such filter for sequential models. The time ends
  with the library's own form of lists.
- **Evaluation** is in batches of {eval_batch} for all. Peak memory is the highest resident memory
  of the whole process, imports and data included.
"""
