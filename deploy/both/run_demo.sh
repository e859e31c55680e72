# Sourced: what the tweet feed can do, shown on the running stack, from outside: through its API.
#
# A stack says: feed_client ARGUMENTS… (the producer's demonstrations, against its API), sql (statements from standard
# input, as factory_user over TCP).
#
# shellcheck shell=bash

followers=1999

tell_limits() {
    say limits "$TWEET_USER_RATE requests a second of one user ($TWEET_USER_BURST at once), $TWEET_RATE in all ($TWEET_BURST at once)"
}

# How long an API without workers would let the celebrity wait, in ms: an INSERT for each follower, one after the other over
# one connection. This is its best case: the table is temporary and empty, so no commit waits for a disk and no lock for
# somebody else.
synchronous_fan_out() {
    local user
    {
        echo 'CREATE TEMPORARY TABLE items (LIKE feed_items INCLUDING INDEXES);'
        echo 'SELECT clock_timestamp() AS began \gset'
        for ((user = 1; user <= followers; user++)); do
            echo "INSERT INTO items (user_id, tweet_id, author_id) VALUES ($user, 1, 0);"
        done
        echo "SELECT round(extract(epoch FROM clock_timestamp() - :'began') * 1000);"
    } | sql
}

feed_demo() {
    local synchronous tweets
    tell_limits
    tweets=$(sql <<<'SELECT EXISTS (SELECT FROM tweets)') || fail "the database does not answer"
    [[ $tweets == f ]] || say database "has tweets already; on a fresh one (make clean, make full-stack) numbers can be compared"
    feed_client feed-demo --users $((followers + 1)) || exit $?
    synchronous=$(synchronous_fan_out) || fail "the synchronous fan-out could not be measured, see above"
    printf '  %-58s%10s\n' "$followers INSERTs one by one, what a naive API takes at best" "$synchronous ms"
}

# feed_kills [FLAG…]: a crowd from this machine, not from a container.
feed_kills() { "$root/target/release/feed_kills" --port "$TWEET_API_PORT" "$@"; }

# feed_replay FILE [FLAG…]
feed_replay() {
    local recording
    [[ -n ${1:-} ]] ||
        refuse "say FILE=…: a CSV file with the columns timestamp and value, such as NAB's Twitter_volume_AAPL.csv"
    recording=$(readlink -e "$1") || refuse "FILE=$1: no such file"
    tell_limits
    feed_client feed-replay "$recording" "${@:2}"
}
