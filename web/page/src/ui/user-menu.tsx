import type { ReactElement } from "react";

import { chooseTheme, useThemeChoice, type ThemeChoice } from "../theme.js";
import type { User } from "../user.js";
import { CheckIcon, MoreIcon, PencilIcon } from "./icons.js";
import { Menu, type MenuItem } from "./menu.js";

const themes: readonly [ThemeChoice, string][] = [["system", "As the system"], ["light", "Light"], ["dark", "Dark"]];

/** What is about the user rather than a board: name and looks. */
export function UserMenu({ user, onRename, more = [] }: {
  user: User; onRename: () => void; more?: readonly MenuItem[];
}): ReactElement {
  const choice = useThemeChoice();
  return (
    <Menu
      label="Menu" button={<MoreIcon />}
      items={[
        ...more,
        `You are ${user.name}`,
        { label: "Change name…", icon: <PencilIcon />, run: onRename },
        "Appearance",
        ...themes.map(([value, label]) => ({
          label, checked: choice === value, icon: choice === value && <CheckIcon />, run: () => chooseTheme(value),
        })),
      ]}
    />
  );
}
