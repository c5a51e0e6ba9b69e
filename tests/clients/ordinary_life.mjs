/**
 * The ordinary life of two people in a room, each with a stock client: matrix-js-sdk.
 *
 *     node ordinary_life.mjs http://127.0.0.1:8008
 *
 * Prints one line of JSON for every step, `{"step": …}` and what was seen in it; whoever runs it judges.
 * A line `{"please": "stop" | "start" | "kill"}` asks for the server to be stopped, to be started again at
 * the same address, or to be killed and started again; it is done when a line comes on standard input.
 */

// Standard output is for the steps alone; what the client has to say goes where errors go.
for (const level of ["debug", "info", "log", "trace", "warn"]) console[level] = console.error;

import { once } from "node:events";
import { createInterface } from "node:readline";

import { Direction, EventStatus, EventTimeline, RoomEvent, TimelineWindow, Visibility } from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";

import { Person } from "./people.mjs";

const SPEAKING_AT_ONCE = 30;
const ACKNOWLEDGED_BEFORE_THE_KILL = 10;

const [address] = process.argv.slice(2);
const replies = createInterface({ input: process.stdin });
const requests = [];

function report(step, seen) {
    process.stdout.write(JSON.stringify({ step, ...seen }) + "\n");
}

async function please(what) {
    process.stdout.write(JSON.stringify({ please: what }) + "\n");
    await once(replies, "line");
}

async function theyArrive() {
    const visitor = new Person(address, requests);
    const { stages } = await visitor.register("alice");
    for (const name of ["bob", "carol"]) await visitor.register(name);
    const { flows } = await visitor.client.loginFlows();
    report("register", { stages, flows: flows.map((flow) => flow.type) });

    const people = await Promise.all(["alice", "bob", "carol"].map((name) => visitor.logIn(name)));
    report("log in", { users: people.map((person) => person.userId), isSyncing: people.map(isSyncing) });
    return people;
}

const isSyncing = (person) => ["PREPARED", "SYNCING"].includes(person.client.getSyncState());

async function theyMeet(alice, bob) {
    const { room_id: roomId } = await alice.client.createRoom({
        name: "Tea",
        topic: "Leaves",
        room_alias_name: "tea",
        preset: "public_chat",
        visibility: Visibility.Public,
        invite: [bob.userId],
    });
    await bob.until("he is invited", () => bob.room(roomId)?.getMyMembership() === "invite");
    const invited = bob.room(roomId).getMember(bob.userId).events.member;
    const invite = { name: bob.room(roomId).name, by: invited.getSender() };
    await bob.client.joinRoom(roomId);
    await bob.until("he is in", () => bob.room(roomId).getMyMembership() === "join");
    await alice.until("she sees him", () => alice.room(roomId).getMember(bob.userId)?.membership === "join");
    report("meet", {
        invite,
        name: alice.room(roomId).name,
        alias: bob.room(roomId).getCanonicalAlias(),
        aliasLeadsTo: (await bob.client.getRoomIdForAlias("#tea:localhost")).room_id === roomId,
        encrypted: alice.room(roomId).hasEncryptionStateEvent(),
    });
    return roomId;
}

/** A message is in one's own timeline at once, and stays one when it comes back by /sync. */
async function theyTalk(alice, bob, roomId) {
    const statuses = [];
    const room = alice.room(roomId);
    const note = (event, _, oldId) => statuses.push([event.status, oldId?.startsWith("~") && event.getId() !== oldId]);
    room.on(RoomEvent.LocalEchoUpdated, note);
    const eventId = await alice.say(roomId, "Is it hot?");
    await alice.until("her message came back", () => room.findEventById(eventId)?.status === null);
    room.off(RoomEvent.LocalEchoUpdated, note);
    await bob.until("he hears it", () => bob.texts(roomId).includes("Is it hot?"));
    await bob.say(roomId, "It is.");
    for (const person of [alice, bob]) {
        await person.until("there is an answer", () => person.texts(roomId).length === 2);
    }
    report("talk", {
        statuses,
        transactionCameBack: "transaction_id" in room.findEventById(eventId).getUnsigned(),
        texts: [alice, bob].map((person) => person.texts(roomId)),
    });
    return eventId;
}

async function theyEdit(alice, bob, roomId) {
    await alice.client.setRoomName(roomId, "Green tea");
    await alice.client.setRoomTopic(roomId, "Cups");
    const topic = () => stateOf(bob, roomId, "m.room.topic").topic;
    await bob.until("he reads the new topic", () => topic() === "Cups");
    const refusal = await bob.client.setRoomName(roomId, "Coffee").catch((error) => error);
    report("edit", { name: bob.room(roomId).name, topic: topic(), refusal: [refusal.httpStatus, refusal.errcode] });
}

const stateOf = (person, roomId, type) =>
    person.room(roomId).getLiveTimeline().getState(EventTimeline.FORWARDS).getStateEvents(type, "").getContent();

async function oneTakesItBack(alice, bob, roomId, eventId) {
    await alice.client.redactEvent(roomId, eventId, undefined, { reason: "spilt" });
    const event = bob.room(roomId).findEventById(eventId);
    await bob.until("it is gone", () => event.isRedacted());
    const because = event.getUnsigned().redacted_because;
    report("redact", { content: event.getContent(), by: because.sender, reason: because.content.reason });
}

/** A second device begins with the end, and walks back to the beginning. */
async function oneReadsBack(alice, bob, visitor, roomId) {
    for (let number = 0; number < 25; number++) await alice.say(roomId, `leaf ${number}`);
    await bob.until("he has heard it all", () => bob.texts(roomId).includes("leaf 24"));

    const device = await visitor.logIn("bob", { initialSyncLimit: 4 });
    const room = device.room(roomId);
    const begun = device.texts(roomId);
    while (room.getLiveTimeline().getPaginationToken(Direction.Backward) !== null) {
        await device.client.scrollback(room, 10);
    }
    const events = room.getLiveTimeline().getEvents();
    report("scroll back", {
        begun,
        texts: device.texts(roomId),
        first: events[0].getType(),
        isEachOnce: new Set(events.map((event) => event.getId())).size === events.length,
    });
    return device;
}

/** What stood around one event: a window that grows in both directions. */
async function oneLooksAround(visitor, roomId, eventId) {
    const device = await visitor.logIn("alice", { initialSyncLimit: 1 });
    const timelineSet = device.room(roomId).getUnfilteredTimelineSet();
    const timeline = await device.client.getEventTimeline(timelineSet, eventId);
    const window = new TimelineWindow(device.client, timelineSet);
    await window.load(eventId, 6);
    const begun = window.getEvents().length;
    for (const direction of [Direction.Backward, Direction.Forward]) {
        while (window.canPaginate(direction)) await window.paginate(direction, 10);
    }
    const events = window.getEvents();
    report("look around", {
        isFound: timeline.getEvents().some((event) => event.getId() === eventId),
        begun,
        first: events[0].getType(),
        last: events.at(-1).getContent().body,
        isEachOnce: new Set(events.map((event) => event.getId())).size === events.length,
    });
    await endSession(device);
}

async function endSession(person) {
    await person.client.logout(true);
}

/** Who never said anything is not known before somebody asks for the list. */
async function membersAreLoadedLate(carol, device, visitor, roomId) {
    await carol.client.joinRoom("#tea:localhost");
    const late = await visitor.logIn("bob", { initialSyncLimit: 1 });
    const room = late.room(roomId);
    const names = () => room.getJoinedMembers().map((member) => member.userId).sort();
    const known = { count: room.getJoinedMemberCount(), before: names() };
    await room.loadMembersIfNeeded();
    report("members", { ...known, after: names() });
    await endSession(late);
    await device.until("his other device sees her", () => device.room(roomId).getJoinedMemberCount() === 3);
}

async function oneIsThrownOut(alice, carol, roomId) {
    const memberships = [];
    const expect = async (membership) => {
        await carol.until(`it says ${membership}`, () => carol.room(roomId).getMyMembership() === membership);
        const member = carol.room(roomId).getMember(carol.userId);
        memberships.push([member.membership, member.events.member.getContent().reason ?? null]);
    };
    await expect("join");
    await alice.client.kick(roomId, carol.userId, "too loud");
    await expect("leave");
    await carol.client.joinRoom(roomId);
    await expect("join");
    await alice.client.ban(roomId, carol.userId, "louder still");
    await expect("ban");
    const refusal = await carol.client.joinRoom(roomId).catch((error) => error);
    await alice.client.unban(roomId, carol.userId);
    await expect("leave");
    await carol.client.joinRoom(roomId);
    await expect("join");
    report("throw out", { memberships, refusal: [refusal.httpStatus, refusal.errcode] });
}

async function oneLeavesForGood(carol, roomId) {
    await carol.client.leave(roomId);
    await carol.until("she is out", () => carol.room(roomId).getMyMembership() === "leave");
    await carol.client.forget(roomId);
    report("forget", { isKnown: carol.room(roomId) !== null });
}

async function theyAreFound(carol, roomId) {
    const { chunk } = await carol.client.publicRooms({ limit: 10, filter: { generic_search_term: "green" } });
    const none = await carol.client.publicRooms({ limit: 10, filter: { generic_search_term: "coffee" } });
    const [{ room_id: found, name, topic, num_joined_members: members }] = chunk;
    report("public rooms", { isThis: found === roomId, name, topic, members, others: none.chunk.length });
}

/** Stopped politely and started again; what was said meanwhile is sent again under the same transaction id. */
async function theServerRestarts(people, roomId) {
    const [alice] = people;
    await please("stop");
    const unsent = await alice.client.sendTextMessage(roomId, "Hello?").catch((error) => error.name);
    const statuses = alice.room(roomId).getPendingEvents().map((event) => event.status);
    await please("start");
    await sayAgain(alice, roomId);
    const heard = await theyHear(people, roomId, "Hello?");
    report("restart", { unsent, statuses, counts: heard.map((texts) => countOf("Hello?", texts)) });
}

/** Killed while both talk; more comes after it than one /sync holds, so that there is a gap to be filled. */
async function theServerIsKilled(people, roomId) {
    const [alice, bob] = people;
    const spoken = [];
    let [acknowledged, failed, isBack, killed] = [0, 0, false, null];
    const speak = async (person) => {
        while (!isBack) {
            const text = `through the kill ${spoken.length}`;
            spoken.push(text);
            try {
                await person.client.sendTextMessage(roomId, text);
            } catch {
                return failed++;
            }
            if (++acknowledged === ACKNOWLEDGED_BEFORE_THE_KILL) killed = please("kill").then(() => (isBack = true));
        }
    };
    await Promise.all(Array.from({ length: SPEAKING_AT_ONCE }, (_, number) => speak(number % 2 ? alice : bob)));
    await killed;
    for (const person of [alice, bob]) await sayAgain(person, roomId);
    await alice.say(roomId, "Are you there?");
    const heard = await theyHear(people, roomId, "Are you there?");
    report("kill", { acknowledged, failed, counts: heard.map((texts) => spoken.map((text) => countOf(text, texts))) });
}

/** All that each of them has heard in the end. Nobody waits for a client's own next try, seconds away. */
async function theyHear(people, roomId, text) {
    for (const person of people) {
        person.client.retryImmediately();
        await person.until(`${text} is heard`, () => person.texts(roomId).includes(text));
    }
    return await Promise.all(people.map((person) => textsOf(person, roomId)));
}

async function sayAgain(person, roomId) {
    const room = person.room(roomId);
    for (const event of room.getPendingEvents().filter((pending) => pending.status === EventStatus.NOT_SENT)) {
        await person.client.resendEvent(event, room);
    }
}

/** From the end to the beginning, through whatever gaps there are. */
async function textsOf(person, roomId) {
    const window = new TimelineWindow(person.client, person.room(roomId).getUnfilteredTimelineSet());
    await window.load();
    while (window.canPaginate(Direction.Backward)) await window.paginate(Direction.Backward, 30);
    return window.getEvents().map((event) => event.getContent().body);
}

const countOf = (text, texts) => texts.filter((other) => other === text).length;

async function theyMoveOn(alice, bob, oldRoomId) {
    const { replacement_room: roomId } = await alice.client.upgradeRoom(oldRoomId, "11");
    await bob.until("he sees the sign", () => tombstone(bob, oldRoomId) !== null);
    await bob.client.joinRoom(roomId);
    await bob.until("he is in", () => bob.room(roomId)?.getMyMembership() === "join");
    await bob.say(roomId, "Here again.");
    await alice.until("she hears him", () => alice.room(roomId) && alice.texts(roomId).includes("Here again."));
    report("upgrade", {
        isReplacedByIt: tombstone(bob, oldRoomId).replacement_room === roomId,
        isSuccessor: bob.room(roomId).findPredecessor().roomId === oldRoomId,
        history: bob.client.getRoomUpgradeHistory(oldRoomId, true).length,
        versions: [oldRoomId, roomId].map((id) => bob.room(id).getVersion()),
        name: bob.room(roomId).name,
        refusal: await bob.say(oldRoomId, "Still here?").catch((error) => error.errcode),
    });
    return roomId;
}

const tombstone = (person, roomId) => {
    const state = person.room(roomId).getLiveTimeline().getState(EventTimeline.FORWARDS);
    return state.getStateEvents("m.room.tombstone", "")?.getContent() ?? null;
};

async function theyGo(alice, bob, device, roomId) {
    await device.until("it is in the new room", () => device.room(roomId)?.getMyMembership() === "join");
    const { stages } = await bob.removeDevice(device.client.getDeviceId());
    await bob.say(roomId, "The phone is stolen.");
    await device.until("it is told so", () => device.isLoggedOut);
    await alice.until("she hears it", () => alice.texts(roomId).includes("The phone is stolen."));
    const heard = [alice, device].map((person) => person.texts(roomId).includes("The phone is stolen."));
    const token = alice.client.getAccessToken();
    await endSession(alice);
    const stale = new Person(address, requests, { accessToken: token, userId: alice.userId });
    const refusal = await stale.client.whoami().catch((error) => error);
    report("log out", {
        stages,
        heard,
        isOtherLoggedIn: !bob.isLoggedOut,
        refusal: [refusal.httpStatus, refusal.errcode],
    });
}

async function main() {
    logger.setLevel("error");
    const visitor = new Person(address, requests);
    const [alice, bob, carol] = await theyArrive();
    const roomId = await theyMeet(alice, bob);
    const eventId = await theyTalk(alice, bob, roomId);
    await theyEdit(alice, bob, roomId);
    await oneTakesItBack(alice, bob, roomId, eventId);
    const device = await oneReadsBack(alice, bob, visitor, roomId);
    await oneLooksAround(visitor, roomId, eventId);
    await membersAreLoadedLate(carol, device, visitor, roomId);
    await oneIsThrownOut(alice, carol, roomId);
    await oneLeavesForGood(carol, roomId);
    await theyAreFound(carol, roomId);
    await endSession(carol);
    await theServerRestarts([alice, bob, device], roomId);
    await theServerIsKilled([alice, bob, device], roomId);
    const newRoomId = await theyMoveOn(alice, bob, roomId);
    await theyGo(alice, bob, device, newRoomId);
    report("requests", { requests });
    await endSession(bob);
    process.exit(0); // idle connections would keep it for some seconds more
}

await main();
