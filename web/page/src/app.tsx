import { Client } from "@collaboard/sdk";
import { useEffect, useState, type ReactElement } from "react";

import { useAsk } from "./ask.js";
import { useClientState } from "./board/membership.js";
import { BoardPage } from "./board/page.js";
import { List } from "./list/list.js";
import { explainRefusal } from "./errors.js";
import { parseRoute, usePath } from "./route.js";
import { NameDialog, Welcome } from "./welcome.js";
import { Notice } from "./ui/notice.js";
import { ToastProvider, useToast } from "./ui/toasts.js";
import { loadUser, newUser, saveUser, type User } from "./user.js";

const heartbeat = { interval: 4_000, timeout: 5_000 }; // as the server's: a network that is gone is noticed within 10 s

export function App(): ReactElement {
  const [user, setUser] = useState(loadUser);
  return (
    <ToastProvider>
      {user === undefined
        ? <Welcome onName={async (name) => setUser(await newUser(name))} />
        : <Session key={user.name} user={user} onUser={setUser} />}
    </ToastProvider>
  );
}

/** A user at work. One client serves every page, so that what was changed on a board is still sent from the list. */
function Session({ user, onUser }: { user: User; onUser: (user: User) => void }): ReactElement {
  const [client] = useState(() => new Client({ url: location.origin, userId: user.id, displayName: user.name, heartbeat }));
  const [renaming, setRenaming] = useState(false);
  const toast = useToast();
  const route = parseRoute(usePath());
  const { unsaved, kept } = useClientState(client);
  useAsk(unsaved > 0 && !kept);

  useEffect(() => () => void client.close(), [client]);
  useEffect(() => client.on("refused", (error) => {
    const route = parseRoute(location.pathname);
    const text = explainRefusal(error, route.page === "board" ? route.id : undefined);
    if (text !== undefined) {
      toast({ kind: "error", text });
    }
  }), [client]);
  useEffect(() => {
    if (!kept) {
      toast({ kind: "error", text: "This browser does not let the page keep changes. Stay online, and do not close the tab before they are saved." });
    }
  }, [kept]);

  // The name goes to the server when the client connects. What is not acked yet is stored, and the next client sends it.
  const rename = async (name: string) => {
    setRenaming(false);
    if (name !== user.name) {
      await client.close();
      onUser(saveUser({ ...user, name }));
    }
  };

  const shared = { client, user, onRename: () => setRenaming(true) };
  return (
    <>
      {route.page === "list" && <List {...shared} />}
      {route.page === "board" && <BoardPage key={route.id} id={route.id} {...shared} />}
      {route.page === "unknown" && <Notice title="There is nothing here" text="The address may be incomplete." />}
      {renaming && <NameDialog name={user.name} onName={rename} onClose={() => setRenaming(false)} />}
    </>
  );
}
