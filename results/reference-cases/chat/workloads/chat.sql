-- What the chat asks of its database. $1: the room, $2: the message's ID, $3: its payload.
--
-- The 100 ms of each statement are those of the study guide, which gives them for a database under way: a
-- network, a disk that syncs, other people's queries. Here they are a pg_sleep in the statement, so that
-- the connection is busy for as long and PostgreSQL's CPU is not. Where no PostgreSQL is installed the bundled
-- upstream takes as long.

-- name: insert_message  stand-in: 100ms
insert into message (room, id, text)
select $1, $2, convert_from($3, 'UTF8') from pg_sleep(0.1);

-- name: recent  stand-in: 100ms
select id, text from pg_sleep(0.1), lateral
    (select id, text, number from message where room = $1 order by number desc limit 20) as latest;
