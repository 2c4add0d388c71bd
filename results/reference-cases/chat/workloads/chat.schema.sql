-- The chat's only table. A room's latest messages are found by its index.
create table message (
    number bigint generated always as identity primary key,
    room   text not null,
    id     text not null,
    text   text not null
);
create index message_of_room on message (room, number);
