/**
 * People with a stock client: matrix-js-sdk as it comes, without encryption.
 *
 * Every request is noted on its way, so that in the end it can be told what the client asked for in vain.
 */

import {
    AuthType,
    ClientEvent,
    HttpApiEvent,
    InteractiveAuth,
    MatrixEventEvent,
    PendingEventOrdering,
    RoomEvent,
    RoomMemberEvent,
    RoomStateEvent,
    createClient,
} from "matrix-js-sdk";

const PASSWORD = "correct horse battery staple";
const SECONDS_TO_WAIT = 20;

/** Whatever may change what a client knows. */
const CHANGES = [
    ClientEvent.Sync,
    ClientEvent.Room,
    ClientEvent.DeleteRoom,
    HttpApiEvent.SessionLoggedOut,
    MatrixEventEvent.Status,
    RoomEvent.LocalEchoUpdated,
    RoomEvent.MyMembership,
    RoomEvent.Redaction,
    RoomEvent.Timeline,
    RoomMemberEvent.Membership,
    RoomStateEvent.Events,
];

export class Person {
    constructor(address, requests, session = {}) {
        this.address = address;
        this.requests = requests;
        this.client = createClient({
            baseUrl: address,
            fetchFn: (resource, options) => noted(requests, resource, options),
            timelineSupport: true,
            ...session,
        });
        this.isLoggedOut = false;
        this.client.on(HttpApiEvent.SessionLoggedOut, () => (this.isLoggedOut = true));
    }

    get userId() {
        return this.client.getUserId();
    }

    /** Register as a program with forms does: ask what has to be done, do it stage by stage. */
    async register(username) {
        return await proven(this.client, (auth) => {
            return this.client.registerRequest({ username, password: PASSWORD, inhibit_login: true, auth });
        });
    }

    /** The same person, with a session of its own and syncing. */
    async logIn(username, options = {}) {
        const session = await this.client.loginRequest({
            type: "m.login.password",
            identifier: { type: "m.id.user", user: username },
            password: PASSWORD,
        });
        const { access_token: accessToken, user_id: userId, device_id: deviceId } = session;
        const person = new Person(this.address, this.requests, { accessToken, userId, deviceId });
        await person.client.startClient({
            lazyLoadMembers: true,
            initialSyncLimit: 8,
            pendingEventOrdering: PendingEventOrdering.Detached,
            ...options,
        });
        await person.until("the first sync is done", () => person.client.isInitialSyncComplete());
        return person;
    }

    /** Remove another session of the same person, which takes the password. */
    async removeDevice(deviceId) {
        const user = { type: "m.id.user", user: this.userId };
        const password = { type: AuthType.Password, identifier: user, password: PASSWORD };
        return await proven(this.client, (auth) => this.client.deleteDevice(deviceId, auth), password);
    }

    room(roomId) {
        return this.client.getRoom(roomId);
    }

    /** Everything that was said, as far as it is in the timeline here; redacted messages say nothing. */
    texts(roomId) {
        return this.messages(roomId).map((event) => event.getContent().body);
    }

    messages(roomId) {
        const timeline = this.room(roomId).getLiveTimeline().getEvents();
        return timeline.filter((event) => event.getType() === "m.room.message" && !event.isRedacted());
    }

    async say(roomId, body) {
        return (await this.client.sendTextMessage(roomId, body)).event_id;
    }

    /** Resolve once something is so; whatever the client hears is a reason to look again. */
    async until(what, isSo) {
        if (isSo()) return;
        await new Promise((resolve, reject) => {
            const done = (settle) => {
                clearTimeout(patience);
                CHANGES.forEach((change) => this.client.off(change, look));
                settle();
            };
            const look = () => isSo() && done(resolve);
            const late = new Error(`${this.userId} waited in vain until ${what}`);
            const patience = setTimeout(() => done(() => reject(late)), SECONDS_TO_WAIT * 1000);
            CHANGES.forEach((change) => this.client.on(change, look));
        });
    }
}

/** Make a request that needs user-interactive authentication; returns the answer and the stages done. */
async function proven(client, request, password) {
    const stages = [];
    const authentication = new InteractiveAuth({
        matrixClient: client,
        doRequest: (auth) => {
            if (auth?.type) stages.push(auth.type);
            return request(auth ?? undefined);
        },
        stateUpdated: (stage) => stage === AuthType.Password && authentication.submitAuthDict(password),
        requestEmailToken: () => Promise.reject(new Error("nobody has an e-mail address here")),
    });
    return { answer: await authentication.attemptAuth(), stages };
}

async function noted(requests, resource, options) {
    const response = await fetch(resource, options);
    const error = response.ok ? {} : await response.clone().json();
    const path = new URL(resource).pathname;
    requests.push({ method: options.method, path, status: response.status, errcode: error.errcode });
    return response;
}
