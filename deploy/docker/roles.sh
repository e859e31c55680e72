# Run once by the image of Postgres, when it has made the cluster: the same roles and database as natively.
#
# shellcheck shell=bash

for file in database monitor-roles; do
    sed "s/@PASSWORD@/$POSTGRES_PASSWORD/" "/etc/millrace/$file.sql" |
        psql --no-psqlrc -v ON_ERROR_STOP=1 -U postgres -d postgres
done
