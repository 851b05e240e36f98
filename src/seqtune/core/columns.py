"""Names of columns that packages exchange."""

USER = "user"
ITEM = "item"
TIME = "time"
RANK = "rank"
SCORE = "score"
SOURCE = "source"
"""Origin of a recommendation: SOURCE_MODEL, or SOURCE_POPULAR for a user without history."""

SOURCE_MODEL = "model"
SOURCE_POPULAR = "popular"

USER_ID = "user_id"
ITEM_ID = "item_id"
COUNT = "count"
VALUE = "value"
"""Raw ids, how often an item occurs, and the value of a side table (a genre, a name, a title)."""
