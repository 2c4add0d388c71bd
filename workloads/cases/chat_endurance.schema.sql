-- The chat's only table, and what is in it more than once. A message tells by whom it was sent, and its number there:
-- the second and third word of its text (docs/formats.md, "Messages").
create table message (
    number bigint generated always as identity primary key,
    room   text not null,
    id     text not null,
    text   text not null
);
create index message_of_room on message (room, number);
create view message_doubled as
    select split_part(text, ' ', 2) as publisher, split_part(text, ' ', 3) as sent
    from message group by 1, 2 having count(*) > 1;
