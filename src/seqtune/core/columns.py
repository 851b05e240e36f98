"""The names of columns that two rooms exchange, spelled once."""

USER = "user"
ITEM = "item"
TIME = "time"
RANK = "rank"
SCORE = "score"
SOURCE = "source"
"""Who made a recommendation: SOURCE_MODEL, or SOURCE_POPULAR for a user without history."""

SOURCE_MODEL = "model"
SOURCE_POPULAR = "popular"

USER_ID = "user_id"
ITEM_ID = "item_id"
COUNT = "count"
VALUE = "value"
"""Raw ids, how often an item occurs, and the value of a side table (a genre, a name, a title)."""
