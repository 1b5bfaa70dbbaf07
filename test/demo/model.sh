# Sourced by run.sh and seeds.sh: the features and options that the demo trains
# with.  But for the epochs, which end the gate's ever smaller steps sooner,
# whatever is not said here is at its default.
# shellcheck shell=bash disable=SC2034
features='{user_id, age, item_id, category, brand, price, tags}'
options='"split_column": "split", "epochs": 15,
         "columns": {"age": {"kind": "numeric"}, "price": {"kind": "numeric", "transform": "log1p"}}'
